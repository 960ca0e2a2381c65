/** A small server that speaks the protocol truly, and can be told to misbehave. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Ack, Conversation, Entry, Seq, User } from '../src/index.js'

export interface Command {
  type: string
  id: string
  payload: Record<string, unknown>
}

/** True: the fault has dealt with the command, the server leaves it alone. */
export type Fault = (command: Command, connection: Connection) => boolean

export class Connection {
  /** Up to where each conversation has been sent; null until the client has said where it stands. */
  live: Map<string, Seq> | null = null
  readonly commands: Command[] = []

  constructor(
    readonly ws: WebSocket,
    readonly url: string,
  ) {}

  send(frame: unknown): void {
    this.ws.send(JSON.stringify(frame))
  }

  log(id: string, head: Seq, entries: Entry[], more = false): void {
    this.send({ type: 'log', payload: { conversation_id: id, head, more, entries } })
  }

  refuse(command: Command, code: number, name: string, retryable: boolean, retry_after_ms?: number): true {
    this.send({ type: 'error', id: command.id, payload: { code, name, message: name, retryable, retry_after_ms } })
    return true
  }

  /** As a kill does it: no close frame. */
  cut(): void {
    this.ws.terminate()
  }
}

export const ME: User = user('1', 'ada')

export function user(id: string, username: string): User {
  return { id, username, display_name: username, role: 'member', guest: false, created_at: '2026-01-01T00:00:00.000Z' }
}

export class TestServer {
  epoch = 'e1'
  me = ME
  heartbeat_s = 30
  pageSize = 200
  signedIn = true
  /** Conversations that the welcome names; the log may hold others. */
  listed: string[] = []
  readonly logs = new Map<string, Entry[]>()
  readonly acks = new Map<string, Ack>()
  readonly faults: Fault[] = []
  readonly connections: Connection[] = []
  readonly requests: string[] = []
  /** Answers instead of the upgrade, e.g. 401 or 503. */
  refuseUpgrade: number | null = null
  readonly #http: Server
  readonly #waiting = new Set<() => void>()

  private constructor() {
    this.#http = createServer((request, response) => this.#answer(request, response))
    const sockets = new WebSocketServer({ noServer: true })
    this.#http.on('upgrade', (request, socket, head) => {
      this.requests.push(`UPGRADE ${request.url}`)
      if (this.refuseUpgrade !== null) return socket.end(`HTTP/1.1 ${this.refuseUpgrade} No\r\nConnection: close\r\n\r\n`)
      sockets.handleUpgrade(request, socket, head, (ws) => this.#connected(new Connection(ws, request.url ?? '')))
    })
  }

  static async start(...conversations: string[]): Promise<TestServer> {
    const server = new TestServer()
    for (const id of conversations) server.logs.set(id, [])
    server.listed = conversations
    await new Promise<void>((ready) => server.#http.listen(0, '127.0.0.1', ready))
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`
  }

  get last(): Connection {
    return this.connections.at(-1) as Connection
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.cut()
    this.#http.closeAllConnections()
    await new Promise((done) => this.#http.close(done))
  }

  /** All commands of this type, over all connections. */
  commands(type: string): Command[] {
    return this.connections.flatMap((connection) => connection.commands).filter((command) => command.type === type)
  }

  /** Resolves when the condition holds; looked at after everything that happens here. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((go) => this.#waiting.add(go))
  }

  log(id: string): Entry[] {
    const log = this.logs.get(id) ?? []
    this.logs.set(id, log)
    return log
  }

  /** Store a message, and tell whoever is live. */
  say(id: string, text: string, by = '2', client_id = `${by}-${this.log(id).length}`): Entry {
    const log = this.log(id)
    const seq = log.length + 1
    const message = { id: `m${id}-${seq}`, kind: 'text' as const, text, reply_to: null, thread_of: null, mentions: [], attachments: [] }
    const entry: Entry = { seq, kind: 'message.created', by, at: '2026-01-01T00:00:00.000Z', client_id, ordinal: seq, message }
    log.push(entry)
    this.deliver()
    return entry
  }

  deliver(): void {
    for (const connection of this.connections) {
      for (const [id, at] of connection.live ?? []) {
        const entries = this.log(id).slice(at)
        if (entries.length === 0) continue
        connection.live?.set(id, this.log(id).length)
        connection.log(id, this.log(id).length, entries)
      }
    }
  }

  conversation(id: string): Conversation {
    return {
      id, kind: 'room', name: id, title: null, head: this.log(id).length, epoch: this.epoch, join_policy: 'open', role: 'member', member_count: 2,
      read_seq: 0, delivered_seq: 0, unread: 0, peer: null, last_message: null, created_at: '2026-01-01T00:00:00.000Z', closed: false,
    }
  }

  #happened(): void {
    for (const go of this.#waiting) go()
    this.#waiting.clear()
  }

  #connected(connection: Connection): void {
    this.connections.push(connection)
    connection.ws.on('message', (data) => {
      this.#command(JSON.parse(String(data)) as Command, connection)
      this.#happened()
    })
    connection.ws.on('close', () => {
      connection.live = null
      this.#happened()
    })
    connection.send({
      type: 'welcome',
      payload: {
        connection_id: String(this.connections.length), epoch: this.epoch, user: this.me, server_time: '2026-01-01T00:00:00.000Z',
        heartbeat_s: this.heartbeat_s, limits: { text_chars: 8000 }, lobby: this.listed[0] ?? '', conversations: this.listed.map((id) => this.conversation(id)),
      },
    })
    this.#happened()
  }

  #command(command: Command, connection: Connection): void {
    connection.commands.push(command)
    if (this.faults.some((fault) => fault(command, connection))) return
    if (command.type !== 'resume') connection.live ??= this.#heads()
    const { payload } = command
    if (command.type === 'resume') this.#resume(command, connection)
    else if (command.type === 'message.send') connection.send({ type: 'ack', id: command.id, payload: this.store(payload) })
    else if (command.type === 'ping') connection.send({ type: 'pong' })
    else if (typeof payload['client_id'] === 'string') connection.send({ type: 'ack', id: command.id, payload: this.note(payload) })
    else connection.send({ type: 'ack', id: command.id, payload: {} })
  }

  /** What `message.send` does, without the answer. */
  store(payload: Record<string, unknown>): Ack {
    const client_id = String(payload['client_id'])
    const known = this.acks.get(client_id)
    if (known) return { ...known, duplicate: true }
    const id = String(payload['conversation_id'] ?? `direct-${payload['to_user_id']}`)
    const { seq, at } = this.say(id, String(payload['text']), this.me.id, client_id)
    const ack: Ack = { conversation_id: id, message_id: `m${id}-${seq}`, seq, at, duplicate: false }
    this.acks.set(client_id, ack)
    return ack
  }

  /** A durable command whose entry does not matter here. */
  note(payload: Record<string, unknown>): Ack {
    const client_id = String(payload['client_id'])
    const known = this.acks.get(client_id)
    if (known) return { ...known, duplicate: true }
    const id = String(payload['conversation_id'])
    const ack: Ack = { conversation_id: id, seq: this.log(id).length, at: '2026-01-01T00:00:00.000Z', duplicate: false }
    this.acks.set(client_id, ack)
    return ack
  }

  #heads(): Map<string, Seq> {
    return new Map([...this.logs].map(([id, log]) => [id, log.length]))
  }

  #resume(command: Command, connection: Connection): void {
    const { epoch, cursors } = command.payload as { epoch: string | null; cursors: Record<string, Seq> }
    connection.live ??= this.#heads()
    const answer = { live: {} as Record<string, Seq>, reset: {} as Record<string, Seq>, gone: [] as string[] }
    for (const [id, cursor] of Object.entries(cursors)) {
      const log = this.logs.get(id)
      if (!log) answer.gone.push(id)
      else if (epoch !== this.epoch || cursor > log.length) answer.reset[id] = log.length
      else {
        for (let at = cursor; at < log.length; at += this.pageSize) {
          connection.log(id, log.length, log.slice(at, at + this.pageSize), at + this.pageSize < log.length)
        }
        answer.live[id] = log.length
      }
      if (log) connection.live.set(id, log.length)
    }
    connection.send({ type: 'ack', id: command.id, payload: answer })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`)
    const say = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      this.#happened()
    }
    if (!this.signedIn) return say(401, { code: 1103, name: 'session_ended', retryable: false, status: 401 })
    if (request.url === '/api/v1/users/me') return say(200, this.me)
    if (request.url === '/api/v1/auth/ws-ticket') return say(200, { ticket: 'once', expires_in: 30 })
    return say(404, { code: 1004, name: 'not_found', retryable: false, status: 404 })
  }
}
