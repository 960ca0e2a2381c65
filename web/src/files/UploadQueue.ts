/**
 * Which file is sent when: at most three at once, in the order in which they were given; after a failure again and again, with growing pauses,
 * until it is stored or refused. It moves no bytes itself.
 */
import { ParleyError, type UploadAbout } from '@parley/sdk'
import type { FileState } from './outgoing'

const AT_ONCE = 3
const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 30_000

/** No session just now, a body that came too slowly, somebody else writing, bytes that changed on the way: another attempt heals it. */
const HEALING = new Set([401, 408, 423, 460])
/** The server knows nothing of the upload: it expired. An answer to HEAD has no body, so the status must do. */
const GONE = new Set([404, 410])

export interface Transfer {
  /** Nothing is told after this. What the server has stays there. */
  stop(): void
}

export interface TransferHooks {
  /** Where the upload is; remember it to go on after a reload. */
  located(url: string): void
  progress(sent: number): void
  done(): void
  failed(error: ParleyError): void
  /** The bytes cannot be read any more, e.g. because the file was moved. */
  unreadable(): void
}

/** Begins, or goes on at `url`. */
export type Transport = (bytes: Blob, about: UploadAbout, url: string | null, hooks: TransferHooks) => Transfer

export interface UploadJob {
  key: string
  about: UploadAbout
  bytes: Blob | null
  url: string | null
  paused: boolean
}

/** How one upload stands. */
export interface UploadView {
  readonly key: string
  readonly state: FileState
  readonly sent: number
  readonly error: ParleyError | null
  readonly url: string | null
}

interface Item extends UploadJob {
  state: FileState
  sent: number
  error: ParleyError | null
  attempts: number
  transfer: Transfer | null
  /** Set while it rests before the next attempt. */
  timer: ReturnType<typeof setTimeout> | null
}

export class UploadQueue {
  readonly #transport: Transport
  readonly #changed: (view: UploadView) => void
  readonly #random: () => number
  readonly #items = new Map<string, Item>()

  constructor(transport: Transport, changed: (view: UploadView) => void, random: () => number = Math.random) {
    this.#transport = transport
    this.#changed = changed
    this.#random = random
  }

  add(job: UploadJob): void {
    const state = job.bytes === null ? 'missing' : job.paused ? 'paused' : 'waiting'
    const item: Item = { ...job, state, sent: 0, error: null, attempts: 0, transfer: null, timer: null }
    this.#items.set(job.key, item)
    this.#tell(item)
    this.#pump()
  }

  pause(key: string): void {
    const item = this.#items.get(key)
    if (!item || (item.state !== 'waiting' && item.state !== 'sending')) return
    this.#rest(item)
    this.#set(item, 'paused')
    this.#pump()
  }

  /** Go on after a pause, or try again what has failed. */
  resume(key: string): void {
    const item = this.#items.get(key)
    if (!item || (item.state !== 'paused' && item.state !== 'failed')) return
    item.attempts = 0
    this.#set(item, 'waiting')
    this.#pump()
  }

  /** The bytes of one that is `missing`. */
  give(key: string, bytes: Blob): void {
    const item = this.#items.get(key)
    if (item?.state !== 'missing') return
    item.bytes = bytes
    this.#set(item, 'waiting')
    this.#pump()
  }

  remove(key: string): void {
    const item = this.#items.get(key)
    if (!item) return
    this.#rest(item)
    this.#items.delete(key)
    this.#pump()
  }

  /** There may be a connection again: what rests before its next attempt need not wait longer. */
  wake(): void {
    for (const item of this.#items.values()) if (item.timer !== null) this.#rest(item)
    this.#pump()
  }

  /** Stop everything. What has been sent stays on the server. */
  close(): void {
    for (const item of this.#items.values()) this.#rest(item)
    this.#items.clear()
  }

  #pump(): void {
    let free = AT_ONCE - [...this.#items.values()].filter((item) => item.state === 'sending').length
    for (const item of [...this.#items.values()]) {
      if (free <= 0) return
      if (item.state !== 'waiting' || item.timer !== null) continue
      free -= 1
      this.#start(item)
    }
  }

  #start(item: Item): void {
    item.state = 'sending'
    this.#tell(item)
    // A transport may speak before it has returned; what it says of an attempt that is over is not heard.
    const attempt = { over: false }
    const heard = (act: () => void) => () => void (attempt.over || act())
    const transfer = this.#transport(item.bytes!, item.about, item.url, {
      located: (url) => heard(() => ((item.url = url), this.#tell(item)))(),
      progress: (sent) => heard(() => this.#moved(item, sent))(),
      done: heard(() => this.#end(item, 'done', null)),
      failed: (error) => heard(() => this.#failed(item, error))(),
      unreadable: heard(() => ((item.bytes = null), this.#end(item, 'missing', null))),
    })
    item.transfer = { stop: () => ((attempt.over = true), transfer.stop()) }
    if (item.state !== 'sending') this.#rest(item)
  }

  #moved(item: Item, sent: number): void {
    if (sent > item.sent) item.attempts = 0
    item.sent = sent
    item.error = null
    this.#tell(item)
  }

  #failed(item: Item, error: ParleyError): void {
    const isGone = GONE.has(error.status ?? 0) && item.url !== null
    const heals = error.retryable || error.name === 'offset_mismatch' || HEALING.has(error.status ?? 0)
    if (!isGone && !heals) return this.#end(item, 'failed', error)
    if (isGone) {
      item.url = null
      item.sent = 0
    }
    this.#end(item, 'waiting', error)
  }

  #end(item: Item, state: FileState, error: ParleyError | null): void {
    item.transfer?.stop()
    item.transfer = null
    item.state = state
    item.error = error
    if (state === 'done') item.sent = item.bytes?.size ?? item.sent
    if (state === 'waiting') this.#waitFor(item, error?.retryAfterMs ?? this.#backoff(item))
    this.#tell(item)
    this.#pump()
  }

  #waitFor(item: Item, ms: number): void {
    if (item.timer !== null) clearTimeout(item.timer)
    item.timer = setTimeout(() => {
      item.timer = null
      this.#pump()
    }, ms)
  }

  #backoff(item: Item): number {
    return this.#random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** item.attempts++)
  }

  #rest(item: Item): void {
    item.transfer?.stop()
    item.transfer = null
    if (item.timer !== null) clearTimeout(item.timer)
    item.timer = null
  }

  #set(item: Item, state: FileState): void {
    item.state = state
    item.error = null
    this.#tell(item)
  }

  #tell({ key, state, sent, error, url }: Item): void {
    this.#changed({ key, state, sent, error, url })
  }
}
