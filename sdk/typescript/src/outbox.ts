/**
 * Messages on their way out: kept until the server has them for certain, in order, each once in effect.
 *
 * A message leaves the outbox by an ack, by its own entry in the log (an ack may be lost, the entry tells the same), or by `discard`.
 * In each conversation the first pending one is in flight and the others wait, so that a repeated one is never overtaken.
 */
import type { Backoff } from './backoff.js'
import type { Commands } from './commands.js'
import { ParleyError, asParleyError } from './errors.js'
import { exclusively } from './locks.js'
import type { Ack, Conversation, ConversationId, Draft, Entry, OutboxStorage, PendingMessage, PendingState, StoredMessage, UserId } from './types.js'
import { pause } from './wait.js'

/** Refusals that are about the session and not about the message: it goes out after the next sign-in. */
const NOT_ITS_FAULT = new Set(['unauthenticated', 'session_ended'])
/** A storage that does not answer must not keep messages from going out. */
const STORAGE_PATIENCE_MS = 3000

export interface OutboxOptions {
  storage: OutboxStorage
  commands: Commands
  limit: number
  backoff: () => Backoff
  clientId: () => string
  now: () => number
  changed: (message: PendingMessage, discarded: boolean) => void
  acknowledged: (ack: Ack) => void
  /** Storage trouble: nothing is lost yet, but would be by a reload. */
  failed: (error: ParleyError) => void
}

interface Item extends Omit<StoredMessage, 'userId' | 'error'> {
  state: PendingState
  error: ParleyError | null
  /** It came from the storage: another tab may have it too, and may have sent it. */
  shared: boolean
  backoff: Backoff
  /** Ends the present attempt. */
  flight: AbortController | null
}

export class Outbox {
  readonly #options: OutboxOptions
  readonly #items = new Map<string, Item>()
  /** The direct conversation with a user, as far as known: both names of it are one lane. */
  readonly #directs = new Map<UserId, ConversationId>()
  #owner: UserId | null = null
  #loaded = false
  #storing: Promise<unknown> = Promise.resolve()
  /** Left since the storage was last read: what that reading still shows of them is old. */
  readonly #left = new Set<string>()

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Whose messages these are. Until it is known they stay in memory, so that they can never be sent in another's name. */
  ownedBy(user: UserId): void {
    if (this.#owner === user) return
    if (this.#owner !== null) {
      for (const item of this.#items.values()) item.flight?.abort()
      this.#items.clear()
      this.#directs.clear()
    }
    this.#owner = user
    this.#loaded = false
    void this.#load(user)
  }

  /** Take over what other tabs have left behind, and send all that is waiting. After every welcome. */
  welcomed(): void {
    if (this.#loaded && this.#owner !== null) void this.#load(this.#owner)
    this.drain()
  }

  learn(conversations: readonly Conversation[]): void {
    for (const { id, peer } of conversations) if (peer) this.#directs.set(peer.id, id)
  }

  add(draft: Draft): PendingMessage {
    const there = draft.clientId === undefined ? undefined : this.#items.get(draft.clientId)
    if (there) return view(there, this.#conversation(there))
    if (this.#items.size >= this.#options.limit) throw ParleyError.local('outbox_full')
    const item: Item = {
      clientId: draft.clientId ?? this.#options.clientId(),
      // Placed behind what the storage still holds from before; unknown until that is read.
      order: this.#loaded ? this.#nextOrder() : Number.POSITIVE_INFINITY,
      createdAt: this.#options.now(),
      conversationId: draft.conversationId ?? null,
      toUserId: draft.toUserId ?? null,
      kind: draft.kind ?? 'text',
      text: draft.text,
      replyTo: draft.replyTo ?? null,
      threadOf: draft.threadOf ?? null,
      mentions: [...(draft.mentions ?? [])],
      attachments: [...(draft.attachments ?? [])],
      state: 'pending',
      error: null,
      shared: false,
      backoff: this.#options.backoff(),
      flight: null,
    }
    this.#items.set(item.clientId, item)
    if (this.#loaded) this.#store(item)
    const message = view(item, this.#conversation(item))
    this.#options.changed(message, false)
    this.drain()
    return message
  }

  list(conversation?: ConversationId): PendingMessage[] {
    return this.#ordered()
      .filter((item) => conversation === undefined || this.#lane(item) === conversation)
      .map((item) => view(item, this.#conversation(item)))
  }

  retry(clientId: string): boolean {
    const item = this.#items.get(clientId)
    if (item?.state !== 'failed') return false
    this.#set(item, 'pending', null)
    this.#store(item)
    this.drain()
    return true
  }

  discard(clientId: string): boolean {
    const item = this.#items.get(clientId)
    if (!item) return false
    this.#leave(item)
    this.#options.changed(view(item), true)
    this.drain()
    return true
  }

  async clear(): Promise<void> {
    const owner = this.#owner
    for (const clientId of [...this.#items.keys()]) this.discard(clientId)
    await this.#io(async (storage) => {
      for (const { clientId, userId } of await storage.list()) if (userId === owner) await storage.remove(clientId)
    })
  }

  /** Entries prove what was stored, also when the ack was lost or another tab has sent it. */
  heard(conversation: ConversationId, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const item = entry.kind === 'message.created' && entry.by === this.#owner ? this.#items.get(entry.client_id) : undefined
      if (item && entry.kind === 'message.created') this.#sent(item, conversation, entry.seq, entry.message.id)
    }
  }

  /** Start the first pending message of every conversation that has none in flight. */
  drain(): void {
    if (!this.#options.commands.ready || !this.#loaded) return
    const taken = new Set([...this.#items.values()].filter((item) => item.flight).map((item) => this.#lane(item)))
    for (const item of this.#ordered()) {
      const lane = this.#lane(item)
      if (item.state !== 'pending' || taken.has(lane)) continue
      taken.add(lane)
      void this.#fly(item, lane)
    }
  }

  /** One attempt, and the wait that a retryable refusal asks for; the lane is held until both are over. */
  async #fly(item: Item, lane: string): Promise<void> {
    const flight = (item.flight = new AbortController())
    try {
      // Other tabs see the same storage. The lock keeps it to one sender at a time; without locks, client_id makes a double harmless.
      const waitMs = await exclusively(`parley:${this.#owner}:${lane}`, flight.signal, () => this.#attempt(item, flight.signal))
      if (waitMs > 0) await pause(waitMs, flight.signal)
    } catch (thrown) {
      // Aborted, because it was settled or discarded in the meantime. Anything else is a mistake of ours and must be seen.
      if (!flight.signal.aborted) this.#options.failed(asParleyError(thrown))
    } finally {
      if (item.flight === flight) item.flight = null
    }
    this.drain()
  }

  /** How long to wait before the next one. */
  async #attempt(item: Item, signal: AbortSignal): Promise<number> {
    if (item.shared && !(await this.#options.storage.has(item.clientId).catch(() => true))) {
      this.#vanish(item)
      return 0
    }
    try {
      const ack = (await this.#options.commands.ask('message.send', payload(item), { signal })) as Ack
      this.#sent(item, ack.conversation_id, ack.seq, ack.message_id)
      this.#options.acknowledged(ack)
      // Still under the lock: a tab that waits for it must find the message gone.
      await patiently(this.#storing).catch(() => {})
      return 0
    } catch (thrown) {
      const error = asParleyError(thrown)
      if (signal.aborted || error.name === 'disconnected' || error.name === 'timed_out') return 0
      if (error.retryable || NOT_ITS_FAULT.has(error.name)) {
        this.#set(item, 'pending', error)
        return error.retryAfterMs ?? item.backoff.next()
      }
      this.#set(item, 'failed', error)
      this.#store(item)
      return 0
    }
  }

  #sent(item: Item, conversation: ConversationId, seq: number, messageId: string | undefined): void {
    if (this.#items.get(item.clientId) !== item) return
    if (item.toUserId !== null) this.#directs.set(item.toUserId, conversation)
    item.state = 'sent'
    item.error = null
    this.#leave(item)
    this.#options.changed({ ...view(item, conversation), seq, ...(messageId === undefined ? {} : { messageId }) }, false)
  }

  /** Another tab has sent or discarded it; if sent, its entry will tell. */
  #vanish(item: Item): void {
    if (!this.#items.delete(item.clientId)) return
    this.#options.changed(view(item), true)
  }

  #leave(item: Item): void {
    this.#items.delete(item.clientId)
    this.#left.add(item.clientId)
    item.flight?.abort()
    if (this.#owner !== null) void this.#io((storage) => storage.remove(item.clientId))
  }

  #set(item: Item, state: PendingState, error: ParleyError | null): void {
    item.state = state
    item.error = error
    this.#options.changed(view(item, this.#conversation(item)), false)
  }

  async #load(owner: UserId): Promise<void> {
    let stored: StoredMessage[] = []
    const reading = this.#io(async (storage) => {
      this.#left.clear()
      stored = await storage.list()
    })
    await patiently(reading).catch((cause: unknown) => this.#options.failed(ParleyError.local('storage_failed', cause)))
    if (this.#owner !== owner) return
    for (const message of stored) {
      if (message.userId === owner && !this.#items.has(message.clientId) && !this.#left.has(message.clientId)) this.#adopt(message)
    }
    const unplaced = [...this.#items.values()].filter((item) => item.order === Number.POSITIVE_INFINITY)
    this.#loaded = true
    for (const item of unplaced) {
      item.order = this.#nextOrder()
      this.#store(item)
    }
    this.drain()
  }

  #adopt({ userId: _, error, ...message }: StoredMessage): void {
    const item: Item = {
      ...message,
      state: error ? 'failed' : 'pending',
      error: error && new ParleyError({ ...error, retryable: false }),
      shared: true,
      backoff: this.#options.backoff(),
      flight: null,
    }
    this.#items.set(item.clientId, item)
    this.#options.changed(view(item, this.#conversation(item)), false)
  }

  #store(item: Item): void {
    const userId = this.#owner
    if (userId === null) return
    const { state: _, error, shared: _s, backoff: _b, flight: _f, ...message } = item
    const refused = item.state === 'failed' && error ? { code: error.code, name: error.name, message: error.message } : null
    void this.#io((storage) => storage.put({ ...message, userId, error: refused }))
  }

  /** One after the other, so that a removal cannot be overtaken by the insertion before it. */
  #io(work: (storage: OutboxStorage) => Promise<void>): Promise<unknown> {
    const failed = (cause: unknown) => this.#options.failed(ParleyError.local('storage_failed', cause))
    this.#storing = this.#storing.then(() => work(this.#options.storage)).catch(failed)
    return this.#storing
  }

  #nextOrder(): number {
    return Math.max(0, ...[...this.#items.values()].map((item) => item.order).filter(Number.isFinite)) + 1
  }

  #ordered(): Item[] {
    const rank = (a: Item, b: Item) => (a.order === b.order ? 0 : a.order < b.order ? -1 : 1)
    return [...this.#items.values()].sort(rank)
  }

  #conversation(item: Item): ConversationId | null {
    return item.conversationId ?? this.#directs.get(item.toUserId ?? '') ?? null
  }

  #lane(item: Item): string {
    return this.#conversation(item) ?? `user:${item.toUserId}`
  }
}

function payload(item: Item): Record<string, unknown> {
  return {
    ...(item.conversationId === null ? { to_user_id: item.toUserId } : { conversation_id: item.conversationId }),
    client_id: item.clientId,
    kind: item.kind,
    text: item.text,
    ...(item.replyTo === null ? {} : { reply_to: item.replyTo }),
    ...(item.threadOf === null ? {} : { thread_of: item.threadOf }),
    ...(item.mentions.length === 0 ? {} : { mentions: item.mentions }),
    ...(item.attachments.length === 0 ? {} : { attachments: item.attachments }),
  }
}

function view(item: Item, conversationId: ConversationId | null = item.conversationId): PendingMessage {
  const { clientId, state, toUserId, kind, text, replyTo, threadOf, mentions, attachments, createdAt, error } = item
  return { clientId, state, conversationId, toUserId, kind, text, replyTo, threadOf, mentions, attachments, createdAt, ...(error ? { error } : {}) }
}

function patiently<T>(promise: Promise<T>): Promise<T> {
  const late = new AbortController()
  const never = pause(STORAGE_PATIENCE_MS, late.signal).then(() => Promise.reject(ParleyError.local('timed_out')))
  return Promise.race([promise, never]).finally(() => late.abort())
}
