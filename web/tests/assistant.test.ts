import { ParleyClient, ParleyError, type Listener, type Notice } from '@parley/sdk'
import { mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { describe, expect, test, vi } from 'vitest'
import { nextTick } from 'vue'
import { addressBegun, addresses } from '../src/assistant/asking'
import AnswerState from '../src/assistant/AnswerState.vue'
import GrowingText from '../src/assistant/GrowingText.vue'
import { closeUnfinished, scanCode } from '../src/assistant/unfinished'
import { useAssistantStore } from '../src/assistant/useAssistantStore'
import { CLIENT } from '../src/client'
import { i18n } from '../src/locales'
import { renderBlocks, renderMarkdown } from '../src/message/markdown'
import type { ShownMessage } from '../src/message/shown'

// The tests' DOM loses the first element of what is sanitised, unless something stands before it. Browsers do not.
vi.mock('dompurify', async (original) => {
  const { default: purify } = await original<typeof import('dompurify')>()
  return { default: { sanitize: (html: string, config: object) => purify.sanitize(` ${html}`, config) } }
})

const ANSWER = [
  'Here is **how**, in `two` steps; see [the manual](https://example.org/a_b).',
  '',
  '1. First',
  '2. Second, ~~or not~~',
  '',
  '```python',
  'print("**not bold**")',
  '',
  '```',
  '',
  'That is *all*.',
].join('\n')

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))

describe('an address', () => {
  test.each(['@ai what', 'well, @ai: what', '@AI what', 'what do you say @ai'])('is seen in %j', (text) => expect(addresses(text)).toBe(true))
  test.each(['mail@ai.org', '@aidan hi', 'ai', '@a i'])('is not seen in %j', (text) => expect(addresses(text)).toBe(false))

  test.each([
    ['@', 1, 0],
    ['say @a', 6, 4],
    ['@ai', 3, 0],
    ['@aid', 4, null],
    ['a@', 2, null],
    ['@b', 2, null],
    ['@aidan', 3, null],
  ])('is offered in %j at %i', (text, caret, start) => expect(addressBegun(text, caret)).toBe(start))
})

describe('what is not finished', () => {
  test.each([
    ['so **bold', 'so **bold**'],
    ['so **', 'so '],
    ['so **bold** and ~~no', 'so **bold** and ~~no~~'],
    ['call `f(', 'call `f(`'],
    ['see [the manual](https://exa', 'see the manual'],
    ['see [the', 'see the'],
    ['```py\nx = 1\n``', '```py\nx = 1'],
    ['```py\nx = "**', '```py\nx = "**'],
    ['done.\n\n``', 'done.\n\n'],
  ])('%j looks like %j', (text, shown) => expect(closeUnfinished(text)).toBe(shown))

  test('is code until its fence is closed', () => {
    expect(['```\na', '```\na\n```', '~~~\n```\n', '```` ``` ````'].map((text) => scanCode(text).open)).toEqual([true, false, true, false])
  })

  test('never shows a mark that later goes away, whatever the pieces', () => {
    for (let end = 1; end <= ANSWER.length; end++) {
      const html = renderBlocks(closeUnfinished(ANSWER.slice(0, end))).map((block) => block.html).join('')
      const prose = html.replace(/<(code|pre)[\s>][\s\S]*?<\/\1>/g, '')
      expect(prose, ANSWER.slice(0, end)).not.toMatch(/\*\*|~~|`|\]\(/)
    }
  })
})

describe('blocks', () => {
  test('are together what the whole text is', () => {
    expect(renderBlocks(ANSWER).map((block) => block.html).join('')).toBe(renderMarkdown(ANSWER))
  })

  test('that are as they were stay the same objects', () => {
    const before = renderBlocks('one\n\ntwo\n\nthr')
    const after = renderBlocks('one\n\ntwo\n\nthree', before)
    expect([after[0] === before[0], after[1] === before[1], after[2] === before[2]]).toEqual([true, true, false])
  })

  test('are safe', () => {
    expect(renderBlocks('<img src=x onerror=alert(1)> [x](javascript:alert(1))').map((block) => block.html).join('')).not.toMatch(/<img|href="javascript/)
  })
})

function withClient() {
  i18n.global.locale.value = 'en'
  const listeners = new Map<string, Listener<never>[]>()
  const client = new ParleyClient({ baseUrl: 'http://127.0.0.1', fetch: async () => new Response('{}', { status: 404 }) })
  client.on = ((event: string, listener: Listener<never>) => {
    listeners.set(event, [...(listeners.get(event) ?? []), listener])
    return () => {}
  }) as typeof client.on
  const pinia = createPinia()
  const tell = (event: string, payload: unknown) => listeners.get(event)?.forEach((listener) => listener(payload as never))
  return { client, tell, global: { plugins: [pinia, i18n], provide: { [CLIENT as symbol]: client } } }
}

describe('a growing text', () => {
  test('thinks, and then is drawn once a frame, its finished blocks untouched', async () => {
    const drawn = mount(GrowingText, { props: { text: '' }, global: withClient().global, attachTo: document.body })
    expect(drawn.get('[data-testid=answer-thinking]').text()).toContain('Thinking')
    await drawn.setProps({ text: 'one\n\ntw' })
    await frame()
    await nextTick()
    const first = drawn.get('.block p').element
    await drawn.setProps({ text: 'one\n\ntwo **thr' })
    await drawn.setProps({ text: 'one\n\ntwo **three' })
    expect(drawn.text()).toContain('tw')
    await frame()
    await nextTick()
    expect(drawn.get('.block p').element).toBe(first)
    expect(drawn.get('strong').text()).toBe('three')
    drawn.unmount()
  })

  test('has a button for code only when the code is complete', async () => {
    const drawn = mount(GrowingText, { props: { text: '```js\nlet a' }, global: withClient().global, attachTo: document.body })
    expect(drawn.find('[data-testid=code-copy]').exists()).toBe(false)
    await drawn.setProps({ text: '```js\nlet a\n```\n\nand' })
    await frame()
    await nextTick()
    expect(drawn.get('[data-testid=code-copy]').attributes('aria-label')).toBe('Copy code')
    drawn.unmount()
  })
})

const base: ShownMessage = {
  key: 'c1', clientId: 'c1', id: '2', seq: 2, ordinal: 2, by: 'ai', at: '2026-11-21T10:00:00.000Z', kind: 'text', text: 'half', replyTo: '1',
  attachments: [], reactions: [], edited: false, editedAt: null, deleted: false, pinned: false, status: 'streaming', own: false, state: null, error: null,
}
const question: ShownMessage = { ...base, id: '1', by: 'me', own: true, status: null, text: '@ai what', replyTo: null }

function buttons(message: Partial<ShownMessage>, asked: ShownMessage | null = question, mayModerate = false): string[] {
  const props = { message: { ...base, ...message }, question: asked, mayModerate }
  return mount(AnswerState, { props, global: withClient().global }).findAll('button').map((one) => one.attributes('data-testid')!)
}

describe('below an answer', () => {
  test('who asked may stop it, and so may a moderator', () => {
    expect(buttons({})).toEqual(['answer-stop'])
    expect(buttons({}, { ...question, own: false })).toEqual([])
    expect(buttons({}, null, true)).toEqual(['answer-stop'])
  })

  test.each(['cancelled', 'interrupted'] as const)('one that was %s can be asked again by who asked', (status) => {
    expect(buttons({ status })).toEqual(['answer-retry', 'answer-copy'])
    expect(buttons({ status }, { ...question, own: false })).toEqual(['answer-copy'])
    expect(buttons({ status, text: '' })).toEqual(['answer-retry'])
  })

  test('a whole one can be copied', () => expect(buttons({ status: 'done' })).toEqual(['answer-copy']))
})

describe('a question', () => {
  function store() {
    const { client, tell, global } = withClient()
    let made!: ReturnType<typeof useAssistantStore>
    mount({ setup: () => ((made = useAssistantStore()), () => null) }, { global })
    return { store: made, tell, client }
  }
  const refusal: Notice = { conversation_id: '7', message_id: '1', code: 1412, name: 'assistant_busy', message: '', at: '' }

  test('has a place in the line until its answer begins', () => {
    const { store: state, tell } = store()
    tell('ai.queued', { conversation_id: '7', message_id: '1', place: 3 })
    expect(state.places.get('1')).toBe(3)
    tell('entries', { entries: [{ kind: 'message.created', message: { status: 'streaming', reply_to: '1' } }] })
    expect(state.places.has('1')).toBe(false)
  })

  test('that is refused waits no more', () => {
    const { store: state, tell } = store()
    tell('ai.queued', { conversation_id: '7', message_id: '1', place: 3 })
    tell('notice', refusal)
    expect([state.places.has('1'), state.refusals.get('1')?.name]).toEqual([false, 'assistant_busy'])
  })

  test('mentions the assistant only where there is one', () => {
    const { store: state, tell } = store()
    expect(state.mentionsIn('so, @ai?')).toEqual([])
    tell('welcome', { assistant: { id: '9', name: 'AI' } })
    expect(state.mentionsIn('so, @ai?')).toEqual(['9'])
    expect(state.mentionsIn('so?')).toEqual([])
  })

  test('stays in the line when it could not be taken back', async () => {
    const { store: state, tell, client } = store()
    tell('ai.queued', { conversation_id: '7', message_id: '1', place: 3 })
    client.cancelAssistant = async () => {
      throw ParleyError.local('disconnected')
    }
    await expect(state.stop('7', '1')).rejects.toThrow()
    expect(state.places.get('1')).toBe(3)
  })
})
