/** How a socket gets in: the address, the one-time ticket, and what a refusal means. */
import type { Api } from './api.js'
import { ParleyError } from './errors.js'
import type { Http } from './http.js'
import type { WebSocketConstructor, WebSocketLike } from './types.js'

export interface DoorOptions {
  http: Http
  api: Api
  ticket: boolean
  webSocket: WebSocketConstructor | null
}

export class Door {
  readonly #options: DoorOptions

  constructor(options: DoorOptions) {
    this.#options = options
  }

  /** Throws where there is none: trying again would not bring one. */
  webSocket(): WebSocketConstructor {
    const found = this.#options.webSocket ?? (globalThis.WebSocket as unknown as WebSocketConstructor | undefined)
    if (!found) throw new TypeError('There is no global WebSocket here (Node has one from 22 on): pass the `webSocket` option')
    return found
  }

  /** A socket that is opening. Rejects with a ParleyError when there is no ticket to be had. */
  async open(): Promise<WebSocketLike> {
    const { http, api, ticket } = this.#options
    // A ticket and not the access token: what lies in a URL ends up in a proxy's log, and this is worth nothing there.
    const query = ticket ? { ticket: (await api.ticket()).ticket } : {}
    const WebSocket = this.webSocket()
    return new WebSocket(http.url('/ws', query).replace(/^http/, 'ws'))
  }

  /**
   * After an open that failed: is it the session? A browser hides the 401 of a refused upgrade, so it is asked for by HTTP.
   * Only a clear no counts; a server that is away says nothing about the session.
   */
  async signedOut(): Promise<boolean> {
    try {
      await this.#options.http.request('GET', '/users/me')
      return false
    } catch (error) {
      return error instanceof ParleyError && error.status === 401
    }
  }
}
