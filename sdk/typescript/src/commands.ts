/** Commands and their answers: asked once, or repeated with the same client_id until there is an answer. */
import type { Backoff } from './backoff.js'
import { ParleyError, type LocalErrorName } from './errors.js'
import type { Frame } from './frames.js'
import { pause } from './wait.js'

export interface CommandsOptions {
  /** False when the socket cannot take it. */
  send: (frame: Frame) => boolean
  answerTimeoutMs: number
  backoff: () => Backoff
}

export interface AskOptions {
  signal?: AbortSignal
  /** 0 waits until the connection ends. */
  timeoutMs?: number
}

interface Waiting {
  answer: (payload: unknown) => void
  refuse: (error: ParleyError) => void
}

/** `held`: a connection is being made, wait for it. `stopped`: none is coming. */
type Gate = 'open' | 'held' | 'stopped'

export class Commands {
  readonly #options: CommandsOptions
  readonly #asked = new Map<string, Waiting>()
  readonly #queue = new Set<{ go: () => void; refuse: (error: ParleyError) => void }>()
  #gate: Gate = 'stopped'
  #number = 0

  constructor(options: CommandsOptions) {
    this.#options = options
  }

  get ready(): boolean {
    return this.#gate === 'open'
  }

  /** Welcomed, and the resume is on its way. */
  open(): void {
    this.#gate = 'open'
    const queue = [...this.#queue]
    this.#queue.clear()
    for (const { go } of queue) go()
  }

  /** There is no connection now, and one will come: what is asked waits for it. */
  lost(): void {
    this.#gate = 'held'
    this.#refuseAsked()
  }

  /** The connection is gone, and no other will come. */
  stop(): void {
    this.#gate = 'stopped'
    const queue = [...this.#queue]
    this.#queue.clear()
    for (const { refuse } of queue) refuse(ParleyError.local('disconnected'))
    this.#refuseAsked()
  }

  /** True when the frame answered something that is still waited for. */
  answered(frame: Frame): boolean {
    const waiting = frame.id === undefined ? undefined : this.#asked.get(frame.id)
    if (!waiting) return false
    if (frame.type === 'ack') waiting.answer(frame.payload)
    else waiting.refuse(ParleyError.fromWire(frame.payload) ?? ParleyError.local('bad_response'))
    return true
  }

  /** Send one frame, whatever the gate says, and wait for its answer. Rejects with what the server said, `disconnected`, `timed_out` or `aborted`. */
  ask(type: string, payload: Record<string, unknown>, options: AskOptions = {}): Promise<unknown> {
    const { signal, timeoutMs = this.#options.answerTimeoutMs } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(ParleyError.local('aborted'))
      const id = `c${++this.#number}`
      const forget = () => {
        this.#asked.delete(id)
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
      }
      const refuse = (error: ParleyError) => (forget(), reject(error))
      const aborted = () => refuse(ParleyError.local('aborted'))
      const timer = timeoutMs > 0 ? setTimeout(() => refuse(ParleyError.local('timed_out')), timeoutMs) : undefined
      signal?.addEventListener('abort', aborted, { once: true })
      this.#asked.set(id, { answer: (value) => (forget(), resolve(value)), refuse })
      if (this.#options.send({ type, id, payload })) return
      // The socket is closing and its close event has not come yet: nobody else should try it either.
      if (this.#gate === 'open') this.#gate = 'held'
      refuse(ParleyError.local('disconnected'))
    })
  }

  /** For what is not worth repeating: rejects with `disconnected` when there is no connection now. */
  async once(type: string, payload: Record<string, unknown>): Promise<unknown> {
    if (!this.ready) throw ParleyError.local('disconnected')
    return this.ask(type, payload)
  }

  /**
   * For what a repeat does not harm: until it is acknowledged or refused for good, over disconnects and retryable errors.
   * Rejects also with `aborted`, with `timed_out` after `timeoutMs` in all (0: never), and with `disconnected` when the client stops.
   */
  async repeat(type: string, payload: Record<string, unknown>, options: AskOptions = {}): Promise<unknown> {
    const { signal, timeoutMs = 60_000 } = options
    const own = new AbortController()
    let why: LocalErrorName = 'aborted'
    const abort = () => own.abort()
    const timer = timeoutMs > 0 ? setTimeout(() => ((why = 'timed_out'), abort()), timeoutMs) : undefined
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await this.#untilAnswered(type, payload, own.signal)
    } catch (error) {
      throw own.signal.aborted ? ParleyError.local(why, error) : error
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  async #untilAnswered(type: string, payload: Record<string, unknown>, signal: AbortSignal): Promise<unknown> {
    const backoff = this.#options.backoff()
    for (;;) {
      await this.#opened(signal)
      try {
        return await this.ask(type, payload, { signal })
      } catch (error) {
        if (!(error instanceof ParleyError) || !error.retryable || error.name === 'aborted') throw error
        // For these two the waiting is done: for the next connection, or it was the timeout itself.
        if (error.name === 'disconnected' || error.name === 'timed_out') continue
        await pause(error.retryAfterMs ?? backoff.next(), signal)
      }
    }
  }

  #opened(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(ParleyError.local('aborted'))
    if (this.#gate === 'open') return Promise.resolve()
    if (this.#gate === 'stopped') return Promise.reject(ParleyError.local('disconnected'))
    return new Promise((resolve, reject) => {
      const aborted = () => leave(() => reject(ParleyError.local('aborted')))
      const leave = (then: () => void) => {
        this.#queue.delete(waiter)
        signal.removeEventListener('abort', aborted)
        then()
      }
      const waiter = { go: () => leave(resolve), refuse: (error: ParleyError) => leave(() => reject(error)) }
      this.#queue.add(waiter)
      signal.addEventListener('abort', aborted, { once: true })
    })
  }

  #refuseAsked(): void {
    for (const { refuse } of [...this.#asked.values()]) refuse(ParleyError.local('disconnected'))
  }
}
