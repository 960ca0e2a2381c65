/**
 * The client: the one place where the parts are put together. It decides nothing itself.
 *
 *     door ── socket ── resume ── `entries`, `reset`          what comes in
 *               │
 *            commands ── outbox, marks, typing                what goes out
 */
import { Answers } from './answers.js'
import { createApi, type Api } from './api.js'
import { Backoff } from './backoff.js'
import { Commands } from './commands.js'
import { Door } from './door.js'
import { Emitter } from './emitter.js'
import { ParleyError } from './errors.js'
import type { Frame } from './frames.js'
import { Http } from './http.js'
import { listenToTheBrowser } from './browser.js'
import { Marks } from './marks.js'
import { Outbox } from './outbox.js'
import { Resume, type ResumeStats } from './resume.js'
import { Socket } from './socket.js'
import { defaultStorage } from './storage.js'
import { Timeline, type TimelineOptions } from './timeline.js'
import { TypingSignals } from './typing.js'
import { ConnectionState } from './types.js'
import type {
  Ack,
  AiDelta,
  CallSignal,
  CommandOptions,
  ConversationId,
  DisconnectReason,
  Draft,
  EventMap,
  EventName,
  Listener,
  MessageId,
  NewEntries,
  ParleyOptions,
  PendingMessage,
  Seq,
  StateChange,
  Unsubscribe,
  User,
  UserId,
  Welcome,
} from './types.js'
import { Uploads } from './uploads.js'
import { uuid7 } from './uuid7.js'

/** Events handed on as they come. */
const SIGNALS = ['typing', 'read', 'presence', 'notice', 'ai.delta', 'ai.queued', 'upload.progress'] as const satisfies EventName[]

export class ParleyClient {
  /** The HTTP API, typed. */
  readonly api: Api
  /** Files on their way to the server. */
  readonly uploads: Uploads
  readonly #emitter = new Emitter()
  readonly #socket: Socket
  readonly #commands: Commands
  readonly #resume: Resume
  readonly #outbox: Outbox
  readonly #marks: Marks
  readonly #typing: TypingSignals
  readonly #answers = new Answers()
  readonly #clientId: () => string
  #user: User | null = null
  #welcome: Welcome | null = null
  #watched: readonly UserId[] = []
  #deaf: Unsubscribe = () => {}

  /** Opens nothing: `connect()` does. The HTTP API works without a connection. */
  constructor(options: ParleyOptions = {}) {
    const now = options.now ?? Date.now
    const random = options.random ?? Math.random
    const token = options.token ?? null
    const bounds = { minMs: options.reconnect?.minMs ?? 1000, maxMs: options.reconnect?.maxMs ?? 30_000 }
    const answerTimeoutMs = options.answerTimeoutMs ?? 15_000
    const http = new Http({
      baseUrl: baseUrl(options.baseUrl),
      // Called as a method of something else, the browser's fetch throws.
      fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
      token,
      timeoutMs: options.requestTimeoutMs ?? 30_000,
    })
    const emit = this.#emitter.emit.bind(this.#emitter)

    this.#clientId = () => uuid7(now)
    this.api = createApi({ http, clientId: this.#clientId, cookie: token === null, signedIn: (user) => this.#signedIn(user) })
    this.uploads = new Uploads(http)
    this.#socket = new Socket({
      door: new Door({ http, api: this.api, ticket: options.ticket ?? token !== null, webSocket: options.webSocket ?? null }),
      backoff: new Backoff(bounds, random),
      openTimeoutMs: options.openTimeoutMs ?? 15_000,
      now,
      onFrame: (frame) => this.#received(frame),
      onState: (change) => this.#changed(change),
    })
    this.#commands = new Commands({ send: (frame) => this.#socket.send(frame), answerTimeoutMs, backoff: () => new Backoff(bounds, random) })
    this.#resume = new Resume({ commands: this.#commands, emit, patienceMs: answerTimeoutMs, fail: () => this.#socket.cut('resume_refused') })
    this.#outbox = new Outbox({
      storage: options.storage ?? defaultStorage(),
      commands: this.#commands,
      limit: options.outboxLimit ?? 500,
      backoff: () => new Backoff(bounds, random),
      clientId: this.#clientId,
      now,
      changed: (message, discarded) => emit('outbox', { message, discarded }),
      acknowledged: (ack) => this.#resume.owed(ack.conversation_id, ack.seq),
      failed: (error) => emit('error', error),
    })
    this.#marks = new Marks(this.#commands)
    this.#typing = new TypingSignals(this.#commands)
    if (options.userId !== undefined) this.#outbox.ownedBy(options.userId)
  }

  // ── connection ─────────────────────────────────────────────────────────────────────────────────────────────────────

  get state(): ConnectionState {
    return this.#socket.change.state
  }

  /** Why it is reconnecting or disconnected. */
  get reason(): DisconnectReason | null {
    return this.#socket.change.reason
  }

  /** When the next attempt starts, in the milliseconds of `now`, for a countdown; null while none is waiting. */
  get reconnectAt(): number | null {
    return this.#socket.change.reconnectAt
  }

  /** Who is signed in, as far as known: from `welcome`, login, or `api.users.me()`. */
  get user(): User | null {
    return this.#user
  }

  /** The last welcome. */
  get welcome(): Welcome | null {
    return this.#welcome
  }

  /** Counted since the client was made: repeats dropped, holes found, resumes asked for, resets. */
  get stats(): Readonly<ResumeStats> {
    return this.#resume.stats
  }

  /** Start, and come back after every loss until `disconnect()` or a close code that says stop. While reconnecting: try now. */
  connect(): void {
    this.#socket.connect()
    this.#deaf()
    this.#deaf = listenToTheBrowser({ wake: () => this.#socket.wake(), doubt: () => this.#socket.probe() })
  }

  /** Stop. Commands that wait are rejected with `disconnected`; unsent messages stay in the outbox for the next `connect()`. */
  disconnect(): void {
    this.#socket.stop({ name: 'asked' })
  }

  /** While reconnecting: do not wait for the rest of the countdown. Else nothing. */
  reconnectNow(): void {
    this.#socket.reconnectNow()
  }

  /** Returns the function that ends it. A listener that throws is reported and disturbs nobody. */
  on<E extends EventName>(event: E, listener: Listener<E>): Unsubscribe {
    return this.#emitter.on(event, listener)
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Put a message in the outbox. It goes out at once or whenever there is a connection; throws `outbox_full` when the outbox is. */
  send(draft: Draft): PendingMessage {
    if (draft.conversationId !== undefined) this.#typing.sent(draft.conversationId)
    return this.#outbox.add(draft)
  }

  /** Unsent messages in send order, failed ones included; of one conversation, or all. */
  pending(conversationId?: ConversationId): PendingMessage[] {
    return this.#outbox.list(conversationId)
  }

  /** Try a failed message again, under the same client_id. False when it is not there or has not failed. */
  retry(clientId: string): boolean {
    return this.#outbox.retry(clientId)
  }

  /** Forget an unsent message. One that is on its way may still arrive. False when it is not there. */
  discard(clientId: string): boolean {
    return this.#outbox.discard(clientId)
  }

  /** Forget all unsent messages of this account, e.g. when signing out on a computer of others. */
  clearOutbox(): Promise<void> {
    return this.#outbox.clear()
  }

  edit(conversationId: ConversationId, messageId: MessageId, text: string, options?: CommandOptions): Promise<Ack> {
    return this.#durable('message.edit', { conversation_id: conversationId, message_id: messageId, text }, options)
  }

  delete(conversationId: ConversationId, messageId: MessageId, options?: CommandOptions): Promise<Ack> {
    return this.#durable('message.delete', { conversation_id: conversationId, message_id: messageId }, options)
  }

  react(conversationId: ConversationId, messageId: MessageId, emoji: string, options?: CommandOptions): Promise<Ack> {
    return this.#durable('reaction.add', { conversation_id: conversationId, message_id: messageId, emoji }, options)
  }

  unreact(conversationId: ConversationId, messageId: MessageId, emoji: string, options?: CommandOptions): Promise<Ack> {
    return this.#durable('reaction.remove', { conversation_id: conversationId, message_id: messageId, emoji }, options)
  }

  pin(conversationId: ConversationId, messageId: MessageId, options?: CommandOptions): Promise<Ack> {
    return this.#durable('pin.add', { conversation_id: conversationId, message_id: messageId }, options)
  }

  unpin(conversationId: ConversationId, messageId: MessageId, options?: CommandOptions): Promise<Ack> {
    return this.#durable('pin.remove', { conversation_id: conversationId, message_id: messageId }, options)
  }

  join(conversationId: ConversationId, options?: CommandOptions): Promise<Ack> {
    return this.#durable('conversation.join', { conversation_id: conversationId }, options)
  }

  leave(conversationId: ConversationId, options?: CommandOptions): Promise<Ack> {
    return this.#durable('conversation.leave', { conversation_id: conversationId }, options)
  }

  // ── what is not history ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Everything up to `seq` has been read, and up to `deliveredSeq` (never below `seq`) has arrived. Calls for one conversation are
   * merged, and the last one is said again after a reconnect. Resolves once the server has it; rejects when it refuses, or when the client stops.
   */
  markRead(conversationId: ConversationId, seq: Seq, deliveredSeq?: Seq): Promise<void> {
    return this.#marks.mark(conversationId, seq, deliveredSeq)
  }

  /** Call it on every key stroke: at most one goes out in 3 s. Resolves also when nothing was sent, and never rejects: it expires by itself. */
  setTyping(conversationId: ConversationId, isTyping = true): Promise<void> {
    return this.#typing.set(conversationId, isTyping)
  }

  /** Replaces the set of users whose presence is told (at most 500); it holds over reconnects. */
  async watchPresence(userIds: readonly UserId[]): Promise<void> {
    this.#watched = [...userIds]
    // Without a connection the set waits for the next welcome.
    if (this.#commands.ready) await this.#commands.once('presence.watch', { user_ids: this.#watched })
  }

  /** Stop an assistant's growing answer, or take a question back that waits. For who asked, and administrators. */
  async cancelAssistant(conversationId: ConversationId, messageId: MessageId): Promise<void> {
    await this.#commands.once('assistant.cancel', { conversation_id: conversationId, message_id: messageId })
  }

  /** One conversation as a list that keeps itself up to date. Call `open()` on it, and `close()` when done. */
  timeline(conversationId: ConversationId, options?: TimelineOptions): Timeline {
    return new Timeline(
      {
        api: this.api,
        on: (event, listener) => this.on(event, listener),
        pending: (id) => this.pending(id),
        follow: (id, head) => this.#resume.follow(id, head),
        me: () => this.#user?.id ?? null,
        growing: (id) => this.#answers.textOf(id),
      },
      conversationId,
      options,
    )
  }

  // ── inside ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #durable(type: string, payload: Record<string, unknown>, options: CommandOptions = {}): Promise<Ack> {
    const { clientId = this.#clientId(), ...rest } = options
    const ack = (await this.#commands.repeat(type, { ...payload, client_id: clientId }, rest)) as Ack
    this.#resume.owed(ack.conversation_id, ack.seq)
    return ack
  }

  #signedIn(user: User): void {
    this.#user = user
    this.#outbox.ownedBy(user.id)
  }

  #changed(change: StateChange): void {
    if (change.state === ConnectionState.Disconnected) {
      this.#deaf()
      this.#commands.stop()
      this.#answers.clear()
    } else if (change.state !== ConnectionState.Connected) this.#commands.lost()
    if (change.state !== ConnectionState.Connected) this.#resume.lost()
    this.#emitter.emit('state', change)
  }

  #received(frame: Frame): void {
    const { type, payload } = frame
    if (type === 'ack' || type === 'error') {
      if (!this.#commands.answered(frame)) this.#unasked(frame)
    } else if (type === 'log') this.#heard(payload as unknown as NewEntries)
    else if (type === 'welcome') this.#welcomed(payload as unknown as Welcome)
    else if (type === 'conversation.added') {
      const added = payload as unknown as EventMap['conversation.added']
      this.#outbox.learn([added.conversation])
      this.#resume.added(added.conversation)
      this.#emitter.emit('conversation.added', added)
    } else if (type === 'conversation.removed') this.#resume.removed(String(payload['conversation_id']))
    else if (type.startsWith('call.')) this.#emitter.emit('call', { type, payload } satisfies CallSignal)
    else {
      if (type === 'ai.delta' && !this.#answers.heard(payload as unknown as AiDelta)) return
      const signal = SIGNALS.find((one) => one === type)
      // The cast is the protocol's promise. A type this version does not know is from a newer server, and harmless.
      if (signal) this.#emitter.emit(signal, payload as never)
    }
  }

  #heard(news: NewEntries): void {
    const fresh = this.#resume.heard(news)
    // The outbox first: who renders on `entries` must not find the message there twice.
    this.#outbox.heard(news.conversation_id, news.entries)
    this.#answers.ended(fresh)
    if (fresh.length > 0) this.#emitter.emit('entries', { ...news, entries: fresh })
  }

  #welcomed(welcome: Welcome): void {
    this.#welcome = welcome
    this.#signedIn(welcome.user)
    this.#outbox.learn(welcome.conversations)
    // First of all, because any other first command would count as a resume without cursors.
    this.#resume.begin(welcome, () => this.#socket.settled())
    this.#commands.open()
    if (this.#watched.length > 0) void this.watchPresence(this.#watched).catch((error: ParleyError) => this.#emitter.emit('error', error))
    this.#socket.welcomed(welcome.heartbeat_s)
    this.#emitter.emit('welcome', welcome)
    this.#outbox.welcomed()
  }

  /** An error that answers nothing, e.g. to a frame the server could not read. An ack whose command was given up is silence. */
  #unasked(frame: Frame): void {
    if (frame.type !== 'error') return
    const error = ParleyError.fromWire(frame.payload)
    if (error) this.#emitter.emit('error', error)
  }
}

function baseUrl(given: string | undefined): string {
  const base = given ?? (globalThis as { location?: { origin?: string } }).location?.origin
  if (!base || base === 'null') throw new TypeError('ParleyClient: `baseUrl` is required where there is no page with an origin')
  return base.replace(/\/+$/, '')
}
