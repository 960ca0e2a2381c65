import type { EventEntry } from '@parley/sdk'
import { describe, expect, test } from 'vitest'
import type { ShownMessage } from '../src/message/shown'
import { toLines, type Happening, type Line } from '../src/timeline/lines'

const at = (day: number, hour: number, minute = 0) => new Date(2026, 10, day, hour, minute).toISOString()

function message(seq: number | null, by: string, when: string): Happening {
  const shown: ShownMessage = {
    key: `m${seq}`, clientId: `c${seq}`, id: seq === null ? null : String(seq), seq, ordinal: seq, by, at: when, kind: 'text', text: 'hello',
    replyTo: null, attachments: [], reactions: [], edited: false, editedAt: null, deleted: false, pinned: false, status: null,
    own: by === 'me', state: by === 'me' ? 'sent' : null, error: null,
  }
  return { message: shown }
}

function joined(seq: number, when: string): Happening {
  const entry: EventEntry = { kind: 'member.joined', seq, by: 'ann', at: when, client_id: 'x', ordinal: 0, user_id: 'ann', name: 'Ann', role: 'member' }
  return { entry }
}

/** `day`, `unread`, `event`, or a message as its seq with `(` where a group begins and `)` where it ends. */
const sketch = (lines: Line[]) =>
  lines.map((line) => (line.type === 'message' ? `${line.first ? '(' : ''}${line.message.seq}${line.last ? ')' : ''}` : line.type)).join(' ')

describe('groups', () => {
  test('one sender within five minutes is one group', () => {
    expect(sketch(toLines([message(1, 'ann', at(1, 9, 0)), message(2, 'ann', at(1, 9, 4)), message(3, 'ann', at(1, 9, 8))], null))).toBe('day (1 2 3)')
  })

  test('five minutes of silence begin a new group', () => {
    expect(sketch(toLines([message(1, 'ann', at(1, 9, 0)), message(2, 'ann', at(1, 9, 5))], null))).toBe('day (1) (2)')
  })

  test('another sender begins a new group', () => {
    expect(sketch(toLines([message(1, 'ann', at(1, 9)), message(2, 'bob', at(1, 9)), message(3, 'ann', at(1, 9))], null))).toBe('day (1) (2) (3)')
  })

  test('something that happened in between parts a group', () => {
    expect(sketch(toLines([message(1, 'ann', at(1, 9)), joined(2, at(1, 9)), message(3, 'ann', at(1, 9))], null))).toBe('day (1) event (3)')
  })

  test('an unsent message joins the group it will belong to', () => {
    expect(sketch(toLines([message(1, 'me', at(1, 9)), message(null, 'me', at(1, 9, 1))], null))).toBe('day (1 null)')
  })
})

describe('days', () => {
  test('each day begins with a separator, and parts a group', () => {
    expect(sketch(toLines([message(1, 'ann', at(1, 23, 59)), message(2, 'ann', at(2, 0, 1))], null))).toBe('day (1) day (2)')
  })

  test('keys stay apart when the clock steps back over midnight', () => {
    const lines = toLines([message(1, 'ann', at(2, 0, 0)), message(2, 'ann', at(1, 23, 59)), message(3, 'ann', at(2, 0, 1))], null)
    expect(new Set(lines.map((line) => line.key)).size).toBe(lines.length)
  })
})

describe('the unread line', () => {
  const three = [message(1, 'ann', at(1, 9)), message(2, 'me', at(1, 9)), message(3, 'ann', at(1, 9))]

  test('stands before the first message of another above what was read', () => {
    expect(sketch(toLines(three, 1))).toBe('day (1) (2) unread (3)')
  })

  test('stands once', () => {
    expect(sketch(toLines([...three, message(4, 'bob', at(1, 9))], 0))).toBe('day unread (1) (2) (3) (4)')
  })

  test('is left out when everything was read', () => {
    expect(sketch(toLines(three, 3))).toBe('day (1) (2) (3)')
  })
})
