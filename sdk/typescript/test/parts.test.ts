import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
// @ts-expect-error a script without types
import { generate, parse } from '../scripts/codes.mjs'
import { Backoff } from '../src/backoff.js'
import { Cursors } from '../src/cursors.js'
import { Emitter } from '../src/emitter.js'
import { LOCAL_ERRORS, ParleyError } from '../src/errors.js'
import { decode } from '../src/frames.js'
import { Heartbeat, PROBE_MS } from '../src/heartbeat.js'
import { CLOSES, ERRORS, uuid7, type Entry } from '../src/index.js'
import { upTo, seqs } from './helpers.js'

describe('codes', () => {
  const toml = readFileSync(new URL('../../../spec/codes.toml', import.meta.url), 'utf8')

  test('src/codes.ts is what spec/codes.toml says', () => {
    expect(readFileSync(new URL('../src/codes.ts', import.meta.url), 'utf8')).toBe(generate(toml))
  })

  test('every row is there, and nothing of ours takes a number of theirs', () => {
    expect(Object.keys(ERRORS)).toHaveLength(toml.match(/^\[error\./gm)?.length ?? 0)
    expect(Object.keys(CLOSES)).toHaveLength(toml.match(/^\[close\./gm)?.length ?? 0)
    const codes = [...Object.values(ERRORS), ...Object.values(LOCAL_ERRORS)].map(({ code }) => code)
    expect(new Set(codes).size).toBe(codes.length)
  })

  test('what the small reader does not understand is an error and not a gap', () => {
    expect(() => parse('[error.x]\ncode = 0x10')).toThrow('codes.toml:2')
    expect(() => parse('[error.x]\n[error.x]')).toThrow('twice')
  })
})

describe('errors', () => {
  test('a problem body and an error frame say the same', () => {
    const frame = ParleyError.fromWire({ code: 1201, name: 'rate_limited', message: 'slowly', retryable: true, retry_after_ms: 800 })
    const problem = ParleyError.fromWire({ code: 1201, name: 'rate_limited', detail: 'slowly', title: 'x', retryable: true, retry_after_ms: 800 }, 429)
    expect(frame).toMatchObject({ code: 1201, name: 'rate_limited', message: 'slowly', retryable: true, retryAfterMs: 800 })
    expect(problem).toMatchObject({ ...frame, message: 'slowly', status: 429 })
  })

  test.each([null, 'no', 7, {}, { code: '1', name: 'x' }, { code: 1 }])('%j is neither', (body) => {
    expect(ParleyError.fromWire(body)).toBeNull()
  })
})

describe('backoff', () => {
  test('doubles up to the bound', () => {
    const backoff = new Backoff({ minMs: 1000, maxMs: 30_000 }, () => 0.999999)
    expect(upTo(7).map(() => backoff.next())).toEqual([999, 1999, 3999, 7999, 15999, 29999, 29999])
    backoff.reset()
    expect(backoff.next()).toBe(999)
  })

  test('jitter is full: the least is nothing', () => {
    expect(new Backoff({ minMs: 1000, maxMs: 30_000 }, () => 0).next()).toBe(0)
  })

  test('a night of tries is still a number', () => {
    const backoff = new Backoff({ minMs: 1000, maxMs: 30_000 }, () => 0)
    for (let n = 0; n < 5000; n++) expect(backoff.next()).toBe(0)
  })
})

describe('client ids', () => {
  test('are UUIDs of version 7 that the server accepts', () => {
    expect(uuid7()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  test('ascend within a millisecond and when the clock is set back', () => {
    const soon = Date.now() + 1e9
    const ids = upTo(10_000).map((n) => uuid7(() => (n < 5000 ? soon : soon - 1e6)))
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('frames', () => {
  test('carry an id only when there is one', () => {
    expect(decode('{"type":"pong"}')).toEqual({ type: 'pong', payload: {} })
    expect(decode('{"type":"ack","id":"c1","payload":{"seq":1}}')).toEqual({ type: 'ack', id: 'c1', payload: { seq: 1 } })
  })

  test.each(['', '7', 'null', '[]', '{}', '{"type":1}', '{"type":"x","payload":null}', new ArrayBuffer(1)])('%s is none', (data) => {
    expect(decode(data)).toBeNull()
  })
})

describe('cursors', () => {
  const entries = (...numbers: number[]) => numbers.map((seq) => ({ seq }) as Entry)

  test.each([
    ['what follows', [6, 7], [6, 7], 0, false, 7],
    ['a repeat', [4, 5], [], 2, false, 5],
    ['an overlap', [5, 6], [6], 1, false, 6],
    ['a hole', [7, 8], [], 0, true, 5],
    ['a hole in the middle', [6, 8], [6], 0, true, 6],
    ['nothing', [], [], 0, false, 5],
  ])('%s', (_, heard, fresh, repeats, hole, at) => {
    const cursors = new Cursors()
    cursors.set('7', 5)
    const taken = cursors.take('7', entries(...heard))
    expect({ ...taken, fresh: seqs(taken.fresh), at: cursors.get('7') }).toEqual({ fresh, repeats, hole, at })
  })

  test('an unknown conversation begins with what is heard first', () => {
    const cursors = new Cursors()
    expect(seqs(cursors.take('7', entries(41, 42)).fresh)).toEqual([41, 42])
    expect(cursors.get('7')).toBe(42)
  })
})

describe('heartbeat', () => {
  const ping = vi.fn()
  const dead = vi.fn()
  let heartbeat: Heartbeat
  beforeEach(() => {
    vi.useFakeTimers()
    ping.mockReset()
    dead.mockReset()
    heartbeat = new Heartbeat({ ping, dead })
    heartbeat.start(25)
  })
  afterEach(() => vi.useRealTimers())

  test('asks within one beat of silence and gives up within two', () => {
    vi.advanceTimersByTime(25_000)
    expect([ping, dead].map((fn) => fn.mock.calls.length)).toEqual([1, 0])
    vi.advanceTimersByTime(25_000)
    expect([ping, dead].map((fn) => fn.mock.calls.length)).toEqual([1, 1])
    vi.advanceTimersByTime(1_000_000)
    expect(dead).toHaveBeenCalledTimes(1)
  })

  test('any sign of life will do', () => {
    for (let n = 0; n < 20; n++) {
      vi.advanceTimersByTime(24_000)
      heartbeat.heard()
    }
    expect(dead).not.toHaveBeenCalled()
  })

  test('a question out of turn has a shorter answer time', () => {
    heartbeat.probe()
    heartbeat.probe()
    expect(ping).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(PROBE_MS)
    expect(dead).toHaveBeenCalledTimes(1)
  })

  test('an answered question is forgotten', () => {
    heartbeat.probe()
    heartbeat.heard()
    vi.advanceTimersByTime(PROBE_MS)
    expect(dead).not.toHaveBeenCalled()
  })
})

describe('emitter', () => {
  test('a listener that throws is reported and disturbs nobody', () => {
    const console_ = vi.spyOn(console, 'error').mockImplementation(() => {})
    const emitter = new Emitter()
    const heard: string[] = []
    emitter.on('notice', () => {
      throw new Error('mine')
    })
    emitter.on('notice', () => heard.push('second'))
    emitter.emit('notice', {} as never)
    expect(heard).toEqual(['second'])
    expect(console_).toHaveBeenCalledWith(expect.objectContaining({ message: 'mine' }))
    console_.mockRestore()
  })

  test('who has left hears nothing, not even what is being told', () => {
    const emitter = new Emitter()
    const heard: string[] = []
    emitter.on('notice', () => end())
    const end = emitter.on('notice', () => heard.push('left'))
    emitter.on('notice', () => heard.push('stayed'))
    emitter.emit('notice', {} as never)
    expect(heard).toEqual(['stayed'])
  })
})
