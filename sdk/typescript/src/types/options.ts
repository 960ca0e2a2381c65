/** What the client is given when it is made. */
import type { UserId } from './basics.js'
import type { OutboxStorage } from './sending.js'

/** The part of the browser's WebSocket that the SDK uses. */
export interface WebSocketLike {
  readonly readyState: number
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: string): void
  close(code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike

export interface ParleyOptions {
  /** Where the server is, without `/api/v1`. Default: the page's origin; required where there is no page. */
  baseUrl?: string
  /**
   * Gives a valid access token, or null when there is no session (the client then stops with `session_ended`). It is asked before each
   * request, so it should answer from memory and refresh when due; after a 401 it is asked once more, and a different token is tried.
   * Default: none; the same-origin session cookie is used.
   */
  token?: () => Promise<string | null>
  /**
   * How the socket is opened: `true` takes a one-time ticket from `POST /auth/ws-ticket` first, `false` relies on the cookie.
   * Default: true with `token`, else false.
   */
  ticket?: boolean
  /** Where unsent messages survive a reload. Default: IndexedDB, else localStorage, else memory. */
  storage?: OutboxStorage
  /** Whose outbox it is, when known before the first `welcome`. Default: learned from `welcome`, login, or `api.users.me()`. */
  userId?: UserId
  /** Default: the global WebSocket. */
  webSocket?: WebSocketConstructor
  /** Default: the global fetch. */
  fetch?: typeof fetch
  /** Bounds of the wait before an attempt: a random part of minMs, doubling up to maxMs. Default 1000 and 30 000. */
  reconnect?: { minMs?: number; maxMs?: number }
  /** Most unsent messages, failed ones included; `send` beyond it throws `outbox_full`. Default 500. */
  outboxLimit?: number
  /** An open attempt that has not been welcomed by then has failed. Default 15 000. */
  openTimeoutMs?: number
  /** A command without an answer by then is repeated with the same client_id. Default 15 000. */
  answerTimeoutMs?: number
  /** An HTTP request without an answer by then fails with `timed_out`. Default 30 000. */
  requestTimeoutMs?: number
  /** Wall clock in milliseconds, for `createdAt`, `reconnectAt` and ids; durations never depend on it. Default Date.now. */
  now?: () => number
  /** In [0, 1). For jitter only. Default Math.random. */
  random?: () => number
}
