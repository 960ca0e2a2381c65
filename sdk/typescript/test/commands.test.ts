import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Backoff } from '../src/backoff.js'
import { Commands } from '../src/commands.js'
import type { Frame } from '../src/frames.js'
import { Marks } from '../src/marks.js'
import { TypingSignals } from '../src/typing.js'

let sent: Frame[]
let works: boolean
let commands: Commands

beforeEach(() => {
  vi.useFakeTimers()
  sent = []
  works = true
  const send = (frame: Frame) => works && sent.push(frame) > 0
  commands = new Commands({ send, answerTimeoutMs: 1000, backoff: () => new Backoff({ minMs: 100, maxMs: 100 }, () => 0.5) })
})
afterEach(() => vi.useRealTimers())

const settle = () => vi.advanceTimersByTimeAsync(0)
const ack = (payload = {}) => commands.answered({ type: 'ack', id: sent.at(-1)?.id ?? '', payload })
const refuse = (fields: object) => commands.answered({ type: 'error', id: sent.at(-1)?.id ?? '', payload: { code: 1, name: 'x', ...fields } })

describe('repeat', () => {
  test('waits for a connection', async () => {
    commands.lost()
    const done = commands.repeat('pin.add', { client_id: 'a' })
    await settle()
    expect(sent).toEqual([])
    commands.open()
    await settle()
    ack({ seq: 1 })
    expect(await done).toEqual({ seq: 1 })
  })

  test('says the same again after a lost connection', async () => {
    commands.open()
    const done = commands.repeat('pin.add', { client_id: 'a' })
    await settle()
    commands.lost()
    await settle()
    commands.open()
    await settle()
    ack()
    await done
    expect(sent.map(({ payload }) => payload)).toEqual([{ client_id: 'a' }, { client_id: 'a' }])
    expect(new Set(sent.map(({ id }) => id)).size).toBe(2)
  })

  test('waits as long as the server asks before it tries again', async () => {
    commands.open()
    const done = commands.repeat('pin.add', {})
    await settle()
    refuse({ retryable: true, retry_after_ms: 700 })
    await vi.advanceTimersByTimeAsync(699)
    expect(sent).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(sent).toHaveLength(2)
    ack()
    await done
  })

  test('ends with a refusal for good', async () => {
    commands.open()
    const done = commands.repeat('pin.add', {}).catch((error: unknown) => error)
    await settle()
    refuse({ code: 1305, name: 'role_required', retryable: false })
    expect(await done).toMatchObject({ code: 1305, name: 'role_required', retryable: false })
  })

  test('asks again when there is no answer, and gives up at its own time', async () => {
    commands.open()
    const done = commands.repeat('pin.add', {}, { timeoutMs: 2500 }).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(2500)
    expect(sent).toHaveLength(3)
    expect(await done).toMatchObject({ name: 'timed_out', retryable: true })
  })

  test('ends when the caller gives up, also while it waits for a connection', async () => {
    commands.lost()
    const caller = new AbortController()
    const done = commands.repeat('pin.add', {}, { signal: caller.signal }).catch((error: unknown) => error)
    caller.abort()
    expect(await done).toMatchObject({ name: 'aborted' })
    commands.open()
    await settle()
    expect(sent).toEqual([])
  })

  test('ends when the client stops', async () => {
    commands.open()
    const flying = commands.repeat('pin.add', {}).catch((error: unknown) => error)
    await settle()
    commands.stop()
    expect(await flying).toMatchObject({ name: 'disconnected' })
    await expect(commands.repeat('pin.add', {})).rejects.toMatchObject({ name: 'disconnected' })
  })

  test('does not spin on a socket that is closing', async () => {
    commands.open()
    works = false
    const done = commands.repeat('pin.add', {})
    await settle()
    expect(commands.ready).toBe(false)
    works = true
    commands.open()
    await settle()
    ack()
    await done
  })
})

test('an answer to nothing is told apart', () => {
  expect(commands.answered({ type: 'ack', id: 'nobody', payload: {} })).toBe(false)
})

describe('typing', () => {
  test('goes out once in three seconds', async () => {
    commands.open()
    const typing = new TypingSignals(commands)
    for (let n = 0; n < 5; n++) void typing.set('7', true)
    expect(sent.map(({ payload }) => payload)).toEqual([{ conversation_id: '7', is_typing: true }])
    await vi.advanceTimersByTimeAsync(3000)
    void typing.set('7', true)
    expect(sent).toHaveLength(2)
  })

  test('a stop is told at once, if a start was', () => {
    commands.open()
    const typing = new TypingSignals(commands)
    void typing.set('7', false)
    expect(sent).toEqual([])
    void typing.set('7', true)
    void typing.set('7', false)
    void typing.set('7', false)
    expect(sent.map(({ payload }) => payload['is_typing'])).toEqual([true, false])
  })

  test('a sent message is a stop, and the next key stroke a new start', () => {
    commands.open()
    const typing = new TypingSignals(commands)
    void typing.set('7', true)
    typing.sent('7')
    void typing.set('7', true)
    expect(sent.map(({ payload }) => payload['is_typing'])).toEqual([true, true])
  })

  test('without a connection it is dropped in silence', async () => {
    await expect(new TypingSignals(commands).set('7', true)).resolves.toBeUndefined()
  })
})

describe('read marks', () => {
  test('those set while one is on its way go out as one, the highest', async () => {
    commands.open()
    const marks = new Marks(commands)
    const all = [marks.mark('7', 3), marks.mark('7', 5), marks.mark('7', 4)]
    await settle()
    ack()
    await settle()
    ack()
    await Promise.all(all)
    expect(sent.map(({ payload }) => payload)).toEqual([
      { conversation_id: '7', seq: 3 },
      { conversation_id: '7', seq: 5 },
    ])
  })

  test('one that got no answer is said again after a reconnect', async () => {
    commands.open()
    const done = new Marks(commands).mark('7', 3, 9)
    await settle()
    commands.lost()
    await settle()
    commands.open()
    await settle()
    ack()
    await done
    expect(sent.map(({ payload }) => payload)).toEqual(Array(2).fill({ conversation_id: '7', seq: 3, delivered_seq: 9 }))
  })

  test('a refusal reaches the caller and blocks nothing', async () => {
    commands.open()
    const marks = new Marks(commands)
    const first = marks.mark('7', 3).catch((error: unknown) => error)
    await settle()
    refuse({ name: 'not_a_member', retryable: false })
    expect(await first).toMatchObject({ name: 'not_a_member' })
    const second = marks.mark('7', 4)
    await settle()
    ack()
    await second
  })
})
