import { ParleyError } from '@parley/sdk'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { UploadQueue, type TransferHooks, type UploadJob, type UploadView } from '../src/files/UploadQueue'

interface Begun {
  name: string
  url: string | null
  hooks: TransferHooks
  stopped: boolean
}

let begun: Begun[]
let views: Map<string, UploadView>
let queue: UploadQueue

const states = () => Object.fromEntries([...views].map(([key, { state }]) => [key, state]))
const last = (name: string) => begun.findLast((one) => one.name === name)!
const network = () => ParleyError.local('network')
const status = (code: number) => new ParleyError({ code: 9006, name: 'bad_response', message: '', retryable: false, status: code })

function add(key: string, more: Partial<UploadJob> = {}): void {
  queue.add({ key, about: { name: key }, bytes: new Blob(['0123456789']), url: null, paused: false, ...more })
}

beforeEach(() => {
  vi.useFakeTimers()
  begun = []
  views = new Map()
  queue = new UploadQueue(
    (_bytes, { name }, url, hooks) => {
      const one: Begun = { name, url, hooks, stopped: false }
      begun.push(one)
      return { stop: () => (one.stopped = true) }
    },
    (view) => views.set(view.key, view),
    () => 1,
  )
})
afterEach(() => void vi.useRealTimers())

describe('the queue of uploads', () => {
  test('sends three at once, the others in their turn', () => {
    for (const key of ['a', 'b', 'c', 'd', 'e']) add(key)
    expect(begun.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    last('b').hooks.done()
    expect(states()).toEqual({ a: 'sending', b: 'done', c: 'sending', d: 'sending', e: 'waiting' })
    expect(views.get('b')!.sent).toBe(10)
  })

  test('gives the place of a paused one to the next, and goes on at its address', () => {
    for (const key of ['a', 'b', 'c', 'd']) add(key)
    last('a').hooks.located('/files/uploads/1')
    queue.pause('a')
    expect(last('a').stopped).toBe(true)
    expect(states()).toMatchObject({ a: 'paused', d: 'sending' })
    queue.resume('a')
    expect(states()).toMatchObject({ a: 'waiting' })
    last('d').hooks.done()
    expect(last('a')).toMatchObject({ url: '/files/uploads/1', stopped: false })
  })

  test('hears nothing more of an attempt that is over', () => {
    add('a')
    const { hooks } = last('a')
    queue.pause('a')
    hooks.progress(7)
    hooks.failed(network())
    hooks.done()
    expect(views.get('a')).toMatchObject({ state: 'paused', sent: 0, error: null })
  })

  test('tries again after a cut, with pauses that double, from where it was', () => {
    add('a')
    last('a').hooks.located('/files/uploads/1')
    for (const wait of [1000, 2000, 4000]) {
      last('a').hooks.failed(network())
      expect(views.get('a')).toMatchObject({ state: 'waiting', error: { name: 'network' } })
      const before = begun.length
      vi.advanceTimersByTime(wait - 1)
      expect(begun.length).toBe(before)
      vi.advanceTimersByTime(1)
      expect(begun.length).toBe(before + 1)
      expect(last('a').url).toBe('/files/uploads/1')
    }
    last('a').hooks.progress(4)
    last('a').hooks.failed(network())
    vi.advanceTimersByTime(1000)
    expect(begun).toHaveLength(5)
  })

  test('waits as long as the server asks', () => {
    add('a')
    last('a').hooks.failed(new ParleyError({ code: 1501, name: 'busy', message: '', retryable: true, retryAfterMs: 9000, status: 503 }))
    vi.advanceTimersByTime(8999)
    expect(begun).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(begun).toHaveLength(2)
  })

  test('goes on at once when the connection is back', () => {
    add('a')
    last('a').hooks.failed(network())
    queue.wake()
    expect(begun).toHaveLength(2)
    vi.advanceTimersByTime(60_000)
    expect(begun).toHaveLength(2)
  })

  test('lets others pass while one waits for its next attempt', () => {
    for (const key of ['a', 'b', 'c', 'd']) add(key)
    last('a').hooks.failed(network())
    expect(states()).toMatchObject({ a: 'waiting', d: 'sending' })
  })

  test('begins anew what has expired on the server', () => {
    add('a', { url: '/files/uploads/1' })
    last('a').hooks.failed(status(404))
    queue.wake()
    expect(last('a').url).toBe(null)
    last('a').hooks.failed(status(404))
    expect(views.get('a')!.state).toBe('failed')
  })

  test.each([401, 408, 423, 460])('takes HTTP %i for something that passes', (code) => {
    add('a')
    last('a').hooks.failed(status(code))
    expect(views.get('a')!.state).toBe('waiting')
  })

  test('stops at a refusal, and tries again when asked to', () => {
    add('a')
    last('a').hooks.failed(new ParleyError({ code: 1316, name: 'quota_exceeded', message: '', retryable: false, status: 413 }))
    expect(views.get('a')).toMatchObject({ state: 'failed', error: { name: 'quota_exceeded' } })
    vi.advanceTimersByTime(60_000)
    queue.wake()
    expect(begun).toHaveLength(1)
    queue.resume('a')
    expect(begun).toHaveLength(2)
  })

  test('asks for bytes that are not there, and goes on with them', () => {
    add('a', { bytes: null, url: '/files/uploads/1' })
    expect(states()).toEqual({ a: 'missing' })
    queue.give('a', new Blob(['0123456789']))
    expect(last('a').url).toBe('/files/uploads/1')
    last('a').hooks.unreadable()
    expect(states()).toEqual({ a: 'missing' })
  })

  test('frees the place of what is removed', () => {
    for (const key of ['a', 'b', 'c', 'd']) add(key)
    queue.remove('b')
    expect(last('b').stopped).toBe(true)
    expect(states()).toMatchObject({ d: 'sending' })
  })

  test('leaves a paused one alone until it is asked to go on', () => {
    add('a', { paused: true })
    queue.wake()
    expect(begun).toHaveLength(0)
    queue.resume('a')
    expect(begun).toHaveLength(1)
  })
})
