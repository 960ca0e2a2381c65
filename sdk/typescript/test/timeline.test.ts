import { beforeEach, describe, expect, test } from 'vitest'
import { ParleyError, Timeline, type EventMap, type EventName, type Listener, type PendingMessage } from '../src/index.js'
import { Emitter } from '../src/emitter.js'
import type { TimelineSource } from '../src/timeline.js'
import { Truth } from './truth.js'

let truth: Truth
let emitter: Emitter
let pending: PendingMessage[]
let asked: string[]
/** Runs between the request and its answer. */
let meanwhile: () => void
let timeline: Timeline
let growing: Map<string, string>

const emit = <E extends EventName>(event: E, value: EventMap[E]) => emitter.emit(event, value)
const say = (text: string, by = '2') => truth.act({ do: 'say', by, text })
/** The socket's part: tell what is in the log after `from`. */
const tell = (from: number) =>
  emit('entries', { conversation_id: '7', head: truth.log.length, more: false, entries: truth.log.slice(from) })
const texts = () => timeline.items.map((item) => (item.type === 'message' ? item.message.text : item.type === 'pending' ? `(${item.pending.text})` : item.entry.kind))

function answer<T>(name: string, make: () => T): Promise<T> {
  asked.push(name)
  const value = make()
  meanwhile()
  return Promise.resolve(value)
}

beforeEach(() => {
  truth = new Truth('1')
  emitter = new Emitter()
  pending = []
  asked = []
  meanwhile = () => {}
  growing = new Map()
  const api = {
    conversations: {
      get: () => answer('get', () => truth.conversation()),
      log: (_: string, { after }: { after: number }) =>
        answer(`log after ${after}`, () => {
          const entries = truth.log.slice(after, after + 2)
          return { conversation_id: '7', epoch: 'e', head: truth.log.length, entries, next_after: null }
        }),
    },
    messages: { page: (_: string, range: { before?: number; limit: number }) => answer(`page before ${range.before}`, () => truth.page(range)) },
  } as unknown as TimelineSource['api']
  const on = <E extends EventName>(event: E, listener: Listener<E>) => emitter.on(event, listener)
  timeline = new Timeline({ api, on, pending: () => pending, follow: () => {}, me: () => '1', growing: (id) => growing.get(id) }, '7', { pageSize: 3 })
})

const waiting = (clientId: string, text: string): PendingMessage => ({
  clientId, state: 'pending', conversationId: '7', toUserId: null, kind: 'text', text, replyTo: null, threadOf: null, mentions: [], attachments: [], createdAt: 0,
})

describe('opening', () => {
  test('shows the newest page, and what happens afterwards', async () => {
    for (const text of ['a', 'b', 'c', 'd']) say(text)
    await timeline.open()
    expect(timeline).toMatchObject({ status: 'ready', lowSeq: 2, headSeq: 4, hasOlder: true })
    say('e')
    truth.act({ do: 'join', user: '9' })
    tell(4)
    expect(texts()).toEqual(['b', 'c', 'd', 'e', 'member.joined'])
  })

  test('misses nothing that happens while the snapshot is on its way', async () => {
    say('a')
    meanwhile = () => {
      meanwhile = () => {}
      say('b')
      say('c')
      tell(1)
    }
    await timeline.open()
    expect(texts()).toEqual(['a', 'b', 'c'])
    expect(timeline.headSeq).toBe(3)
  })

  test('fetches what the events left out', async () => {
    await timeline.open()
    for (const text of ['a', 'b', 'c', 'd', 'e']) say(text)
    const whole = new Promise<void>((done) => timeline.subscribe(() => timeline.headSeq === 5 && done()))
    tell(4)
    await whole
    expect(texts()).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(asked.filter((one) => one.startsWith('log'))).toEqual(['log after 0', 'log after 2', 'log after 4'])
  })

  test('a failure is shown, and the next connection tries again', async () => {
    meanwhile = () => {
      throw ParleyError.local('network')
    }
    await timeline.open()
    expect(timeline).toMatchObject({ status: 'failed', error: { name: 'network' } })
    meanwhile = () => {}
    const ready = new Promise<void>((done) => timeline.subscribe(() => timeline.status === 'ready' && done()))
    emit('welcome', {} as EventMap['welcome'])
    await ready
    expect(timeline.error).toBeNull()
  })
})

describe('older pages', () => {
  beforeEach(async () => {
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) say(text)
    await timeline.open()
  })

  test('come at the top until there are none', async () => {
    expect(await timeline.loadOlder()).toBe(true)
    expect(texts()).toEqual(['b', 'c', 'd', 'e', 'f', 'g'])
    expect(await timeline.loadOlder()).toBe(true)
    expect(timeline.hasOlder).toBe(false)
    expect(await timeline.loadOlder()).toBe(false)
  })

  test('asked for twice at once is one request', async () => {
    await Promise.all([timeline.loadOlder(), timeline.loadOlder()])
    expect(asked.filter((one) => one === 'page before 5')).toHaveLength(1)
    expect(texts()).toHaveLength(6)
  })

  test('an edit heard while the page is on its way is in it', async () => {
    meanwhile = () => {
      meanwhile = () => {}
      truth.act({ do: 'edit', of: 2, text: 'C' })
      tell(7)
    }
    await timeline.loadOlder()
    expect(texts()).toEqual(['b', 'C', 'd', 'e', 'f', 'g'])
  })

  test('a page newer than the state is not taken back by entries that it has in it', async () => {
    // Read after two edits whose entries the socket brings only later, one by one.
    truth.act({ do: 'edit', of: 2, text: 'C' })
    truth.act({ do: 'edit', of: 2, text: 'CC' })
    await timeline.loadOlder()
    emit('entries', { conversation_id: '7', head: 9, more: true, entries: truth.log.slice(7, 8) })
    expect(texts()).toEqual(['b', 'CC', 'd', 'e', 'f', 'g'])
    expect(timeline.headSeq).toBe(9)
  })

  test('are loaded as far as a jump needs them', async () => {
    expect(await timeline.loadTo(1)).toBe(true)
    expect(timeline.lowSeq).toBe(1)
  })

  test('are forgotten when asked to', async () => {
    await timeline.loadOlder()
    timeline.trim(2)
    expect(texts()).toEqual(['f', 'g'])
    expect(timeline.hasOlder).toBe(true)
  })
})

describe('unsent messages', () => {
  test('stand at the end, and become messages under the same key', async () => {
    say('a')
    await timeline.open()
    pending = [waiting('c2', 'mine')]
    emit('outbox', { message: pending[0] as PendingMessage, discarded: false })
    expect(texts()).toEqual(['a', '(mine)'])
    const key = timeline.items[1]?.key

    say('mine', '1')
    tell(1)
    expect(texts()).toEqual(['a', 'mine'])
    expect(timeline.items[1]?.key).toBe(key)
  })

  test('an acknowledged one stays in sight until its entry comes', async () => {
    await timeline.open()
    emit('outbox', { message: { ...waiting('c1', 'mine'), state: 'sent', seq: 1, messageId: 'm1' }, discarded: false })
    expect(texts()).toEqual(['(mine)'])
    say('mine', '1')
    tell(0)
    expect(texts()).toEqual(['mine'])
  })
})

test('a reset takes a new snapshot, also when history got shorter', async () => {
  say('a')
  say('b')
  await timeline.open()
  truth = new Truth('1')
  say('other')
  const ready = new Promise<void>((done) => timeline.subscribe(() => timeline.status === 'ready' && done()))
  emit('reset', { conversation_id: '7', head: 1 })
  await ready
  expect(texts()).toEqual(['other'])
})

test('other conversations and a closed timeline change nothing', async () => {
  await timeline.open()
  say('a')
  emit('entries', { conversation_id: '8', head: 1, more: false, entries: truth.log })
  expect(texts()).toEqual([])
  timeline.close()
  tell(0)
  expect(texts()).toEqual([])
})

test('the list is the same array until something changes', async () => {
  say('a')
  await timeline.open()
  const before = timeline.items
  expect(timeline.items).toBe(before)
  say('b')
  tell(1)
  expect(timeline.items).not.toBe(before)
})

describe('an answer that grows', () => {
  const message = (id: string) => timeline.items.flatMap((item) => (item.type === 'message' && item.message.id === id ? [item.message] : []))[0]
  const hear = (id: string, text: string) => {
    growing.set(id, text)
    emit('ai.delta', { conversation_id: '7', message_id: id, offset: 0, text })
  }

  beforeEach(async () => {
    await timeline.open()
    truth.act({ do: 'ask', by: '5' })
    tell(0)
  })

  test('shows what is known of it, and then its end', () => {
    expect(message('m1')).toMatchObject({ text: '', status: 'streaming' })
    hear('m1', 'one two')
    expect(message('m1')).toMatchObject({ text: 'one two', status: 'streaming' })
    truth.act({ do: 'complete', of: 0, text: 'one two three', status: 'done' })
    tell(1)
    expect(message('m1')).toMatchObject({ text: 'one two three', status: 'done' })
    hear('m1', 'late')
    expect(message('m1')).toMatchObject({ text: 'one two three', status: 'done' })
  })

  test('is the same object until it grows, so that nothing is drawn for nothing', () => {
    hear('m1', 'one')
    const before = message('m1')
    say('meanwhile')
    tell(1)
    expect(message('m1')).toBe(before)
    hear('m1', 'one two')
    expect(message('m1')).not.toBe(before)
  })

  test('can be reacted to', () => {
    hear('m1', 'one')
    truth.act({ do: 'react', of: 0, by: '2', emoji: '👍' })
    tell(1)
    expect(message('m1')).toMatchObject({ text: 'one', reactions: [{ emoji: '👍' }] })
  })

  test('was heard of before its message came', () => {
    growing.set('m2', 'early')
    truth.act({ do: 'ask', by: '5' })
    tell(1)
    expect(message('m2')).toMatchObject({ text: 'early' })
  })
})
