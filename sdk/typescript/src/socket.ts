/**
 * One connection after another: opened, watched, lost, opened again. Knows nothing of conversations.
 *
 * The states are public; what leads from one to the next is this table, and nothing else changes the state.
 */
import type { Backoff } from './backoff.js'
import { CLOSES } from './codes.js'
import type { Door } from './door.js'
import { ParleyError } from './errors.js'
import { decode, encode, type Frame } from './frames.js'
import { Heartbeat } from './heartbeat.js'
import { ConnectionState, type DisconnectReason, type StateChange, type WebSocketLike } from './types.js'

const { Connecting, Connected, Reconnecting, Disconnected } = ConnectionState

type Happening = 'connect' | 'welcome' | 'loss' | 'stop'

const NEXT: Record<ConnectionState, Partial<Record<Happening, ConnectionState>>> = {
  [Disconnected]: { connect: Connecting },
  [Connecting]: { welcome: Connected, loss: Reconnecting, stop: Disconnected },
  [Connected]: { loss: Reconnecting, stop: Disconnected },
  [Reconnecting]: { welcome: Connected, loss: Reconnecting, stop: Disconnected },
}

/** A drain's delay is the server's to choose, within reason. */
const LONGEST_DRAIN_MS = 60_000

export interface SocketOptions {
  door: Door
  backoff: Backoff
  openTimeoutMs: number
  now: () => number
  onFrame: (frame: Frame) => void
  onState: (change: StateChange) => void
}

export class Socket {
  readonly #options: SocketOptions
  readonly #heartbeat: Heartbeat
  #change: StateChange = { state: Disconnected, reason: null, reconnectAt: null }
  #ws: WebSocketLike | null = null
  /** Counts attempts: what comes from an earlier one is not heard. */
  #attempt = 0
  #opening: ReturnType<typeof setTimeout> | undefined
  #waiting: ReturnType<typeof setTimeout> | undefined

  constructor(options: SocketOptions) {
    this.#options = options
    this.#heartbeat = new Heartbeat({
      ping: () => this.send({ type: 'ping', id: 'ping', payload: {} }),
      dead: () => this.#lose({ name: 'heartbeat_missed' }),
    })
  }

  get change(): StateChange {
    return this.#change
  }

  connect(): void {
    if (this.#change.state === Disconnected) {
      this.#options.door.webSocket()
      this.#options.backoff.reset()
      if (this.#happen('connect')) void this.#open()
    } else this.reconnectNow()
  }

  stop(reason: DisconnectReason): void {
    this.#drop()
    this.#happen('stop', reason)
  }

  /** Give this connection up and come back. */
  cut(name: string): void {
    this.#lose({ name })
  }

  reconnectNow(): void {
    if (this.#waiting !== undefined) void this.#open()
  }

  /** Somebody is there, or the network is: do not wait, and do not trust a socket that may have died meanwhile. */
  wake(): void {
    this.reconnectNow()
    this.probe()
  }

  probe(): void {
    if (this.#change.state === Connected) this.#heartbeat.probe()
  }

  /** The server has spoken its welcome. */
  welcomed(heartbeatSeconds: number): void {
    clearTimeout(this.#opening)
    this.#heartbeat.start(heartbeatSeconds)
    this.#happen('welcome')
  }

  /** Everything missed has been asked for and answered: only now is the next loss a first one, or a server that falls over its own welcome would be hammered. */
  settled(): void {
    this.#options.backoff.reset()
  }

  /** False when there is no open socket. True promises nothing beyond that. */
  send(frame: Frame): boolean {
    const OPEN = 1
    if (this.#ws?.readyState !== OPEN) return false
    this.#ws.send(encode(frame))
    return true
  }

  async #open(): Promise<void> {
    this.#drop()
    const attempt = ++this.#attempt
    const stale = () => attempt !== this.#attempt
    if (this.#change.reconnectAt !== null) this.#tell({ ...this.#change, reconnectAt: null })
    this.#opening = setTimeout(() => this.#lose({ name: 'unreachable' }), this.#options.openTimeoutMs)
    let ws: WebSocketLike
    try {
      ws = await this.#options.door.open()
    } catch (thrown) {
      if (!stale()) this.#refused(thrown)
      return
    }
    if (stale()) return ws.close()
    this.#ws = ws
    let opened = false
    ws.onopen = () => {
      opened = true
    }
    ws.onmessage = (event: { data: unknown }) => {
      this.#heartbeat.heard()
      const frame = decode(event.data)
      if (frame) this.#options.onFrame(frame)
    }
    ws.onclose = (event: { code: number; reason: string }) => void this.#closed(event, opened)
    // A close event follows every error event, and says more.
    ws.onerror = () => {}
  }

  /** There was no ticket to be had. */
  #refused(thrown: unknown): void {
    const error = thrown instanceof ParleyError ? thrown : null
    if (error?.status === 401) this.stop({ name: 'session_ended' })
    else this.#lose({ name: 'unreachable', text: String(thrown) }, error?.retryAfterMs)
  }

  async #closed({ code, reason }: { code: number; reason: string }, opened: boolean): Promise<void> {
    const why = explain(code, reason)
    if (stops(code)) return this.stop(why)
    if (!opened) {
      const attempt = this.#attempt
      this.#ws = null
      const signedOut = await this.#options.door.signedOut()
      if (attempt !== this.#attempt) return
      if (signedOut) return this.stop({ name: 'session_ended' })
      return this.#lose({ name: 'unreachable', code })
    }
    this.#lose(why, code === CLOSES.draining.code ? drainMs(reason) : undefined)
  }

  /** `afterMs` is the server's wish, and takes the place of our own backoff. */
  #lose(reason: DisconnectReason, afterMs?: number): void {
    this.#drop()
    const delay = afterMs ?? this.#options.backoff.next()
    // Before the state is told: a listener may call reconnectNow().
    this.#waiting = setTimeout(() => void this.#open(), delay)
    if (!this.#happen('loss', reason, this.#options.now() + delay)) this.#drop()
  }

  /** Let go of everything that belongs to the present attempt. */
  #drop(): void {
    this.#attempt += 1
    clearTimeout(this.#opening)
    clearTimeout(this.#waiting)
    this.#waiting = undefined
    this.#heartbeat.stop()
    const ws = this.#ws
    this.#ws = null
    if (!ws) return
    ws.onopen = ws.onmessage = ws.onclose = null
    // Kept, because closing a socket that is still opening is an error event, and one that nobody hears can end a process.
    ws.onerror = () => {}
    ws.close()
  }

  #happen(happening: Happening, reason: DisconnectReason | null = null, reconnectAt: number | null = null): boolean {
    const state = NEXT[this.#change.state][happening]
    if (state === undefined) return false
    this.#tell({ state, reason, reconnectAt })
    return true
  }

  #tell(change: StateChange): void {
    this.#change = change
    this.#options.onState(change)
  }
}

/** 4500–4999 say stop; everything else, from 1006 to a code of tomorrow, says come back. */
export function stops(code: number): boolean {
  return code >= 4500 && code <= 4999
}

function explain(code: number, text: string): DisconnectReason {
  const known = Object.entries(CLOSES).find(([, row]) => row.code === code)?.[0]
  return { name: known ?? (stops(code) ? 'stopped' : 'connection_lost'), code, ...(text ? { text } : {}) }
}

/** The first number in the reason of a 4003, in milliseconds, already jittered by the server. */
export function drainMs(reason: string): number | undefined {
  const number = /\d+/.exec(reason)?.[0]
  return number === undefined ? undefined : Math.min(Number(number), LONGEST_DRAIN_MS)
}
