import { ParleyClient, ParleyError } from '@parley/sdk'
import { mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { describe, expect, test } from 'vitest'
import { CLIENT } from '../src/client'
import { i18n } from '../src/locales'
import MessageItem from '../src/message/MessageItem.vue'
import { shownPending, shownStored, stateOf, type MessageState, type ShownMessage } from '../src/message/shown'

const base: ShownMessage = {
  key: 'c1', clientId: 'c1', id: '1', seq: 1, ordinal: 1, by: 'me', at: '2026-11-21T10:00:00.000Z', kind: 'text', text: 'hello', replyTo: null,
  attachments: [], reactions: [], edited: false, editedAt: null, deleted: false, pinned: false, status: null, own: true, state: 'sent', error: null,
}

function draw(message: Partial<ShownMessage>) {
  i18n.global.locale.value = 'en'
  const client = new ParleyClient({ baseUrl: 'http://127.0.0.1', fetch: async () => new Response('{}', { status: 404 }) })
  return mount(MessageItem, {
    props: { message: { ...base, ...message }, first: true, last: true, withPeople: true, quoted: null, hasOlder: false, mayModerate: false },
    global: { plugins: [createPinia(), i18n], provide: { [CLIENT as symbol]: client } },
  })
}

describe('an own message', () => {
  test.each<[MessageState, string]>([
    ['pending', 'Sending'],
    ['sent', 'Stored on the server'],
    ['delivered', 'Delivered'],
    ['read', 'Read'],
  ])('says that it is %s', (state, words) => {
    const drawn = draw({ state })
    expect(drawn.get('[data-testid=message]').attributes('data-state')).toBe(state)
    expect(drawn.find(`[role=img][aria-label="${words}"]`).exists()).toBe(true)
    expect(drawn.find('[data-testid=message-failure]').exists()).toBe(false)
  })

  test('that failed says why, with the code, and what can be done', async () => {
    const error = new ParleyError({ code: 1305, name: 'role_required', message: '', retryable: false })
    const drawn = draw({ state: 'failed', error, id: null, seq: null })
    const failure = drawn.get('[data-testid=message-failure]')
    expect(failure.text()).toContain('Your role here does not allow this.')
    expect(failure.text()).toContain('1305')
    for (const act of ['retry', 'copy-failed', 'discard']) await drawn.get(`[data-testid=message-${act}]`).trigger('click')
    expect(drawn.emitted('intent')?.map(([intent]) => (intent as { type: string }).type)).toEqual(['retry', 'copy', 'discard'])
  })

  test('that is deleted keeps its place and loses its text', () => {
    const drawn = draw({ deleted: true, text: null })
    expect(drawn.get('[data-testid=message-text]').text()).toBe('This message was deleted.')
  })
})

describe('states', () => {
  test('follow from how far the others are', () => {
    expect([3, 5, 7].map((seq) => stateOf(seq, { read: 3, delivered: 5 }))).toEqual(['read', 'delivered', 'sent'])
  })

  test('the key of a message is the same before and after it is stored', () => {
    const pending = shownPending(
      { clientId: 'c9', state: 'pending', conversationId: '1', toUserId: null, kind: 'text', text: 'x', replyTo: null, threadOf: null, mentions: [], attachments: [], createdAt: 0 },
      'me',
    )
    const stored = shownStored(
      {
        id: '5', conversation_id: '1', seq: 2, ordinal: 2, by: 'me', at: base.at, client_id: 'c9', kind: 'text', text: 'x', reply_to: null,
        thread_of: null, mentions: [], attachments: [], edit: 0, edited_at: null, deleted: false, pinned: false, reactions: [],
      },
      'c9', 'me', { read: 0, delivered: 0 },
    )
    expect(pending.key).toBe(stored.key)
    expect(stored.state).toBe('sent')
  })
})
