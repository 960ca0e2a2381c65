import type { Conversation, Entry } from '@parley/sdk'
import { describe, expect, test } from 'vitest'
import { afterEntry, listed } from '../src/conversation/reduce'

const AT = '2026-11-21T10:00:00.000Z'

const conversation: Conversation = {
  id: '7', kind: 'room', name: 'design', title: null, head: 10, epoch: 'e', join_policy: 'open', role: 'member', member_count: 3,
  read_seq: 8, delivered_seq: 10, unread: 1, peer: null, created_at: AT, closed: false,
  last_message: {
    id: '100', conversation_id: '7', seq: 10, ordinal: 6, by: 'ann', at: AT, client_id: 'a', kind: 'text', text: 'old', reply_to: null,
    thread_of: null, mentions: [], attachments: [], edit: 0, edited_at: null, deleted: false, pinned: false, reactions: [],
  },
}

function created(seq: number, by: string, ordinal: number): Entry {
  return {
    kind: 'message.created', seq, by, at: AT, client_id: `c${seq}`, ordinal,
    message: { id: String(90 + seq), kind: 'text', text: 'new', reply_to: null, thread_of: null, mentions: [], attachments: [] },
  }
}

describe('unread', () => {
  test('is a difference of ordinals: entries that are no messages do not count', () => {
    const reacted: Entry = { kind: 'reaction.added', seq: 11, by: 'ann', at: AT, client_id: 'r', ordinal: 6, message_id: '100', emoji: '👍' }
    const after = [reacted, created(12, 'ann', 7)].reduce((state, entry) => afterEntry(state, entry, 'me'), listed(conversation))
    expect(after).toMatchObject({ unread: 2, head: 12 })
    expect(after.last_message?.text).toBe('new')
  })

  test('a repeated entry changes nothing', () => {
    const before = listed(conversation)
    expect(afterEntry(before, created(10, 'ann', 6), 'me')).toBe(before)
  })

  test('writing is reading', () => {
    expect(afterEntry(listed(conversation), created(11, 'me', 7), 'me')).toMatchObject({ unread: 0, read_seq: 11 })
  })
})

test('a deleted last message leaves no text in the preview', () => {
  const gone: Entry = { kind: 'message.deleted', seq: 11, by: 'ann', at: AT, client_id: 'd', ordinal: 6, message_id: '100' }
  expect(afterEntry(listed(conversation), gone, 'me').last_message).toMatchObject({ text: null, deleted: true })
})
