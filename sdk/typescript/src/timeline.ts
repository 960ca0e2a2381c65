/**
 * One conversation on the screen: the loaded stretch of its log, kept up to date, with one's own unsent messages at its end.
 * Holes are its own business: whatever the events leave out, it fetches from the log.
 */
import type { Api } from './api.js'
import { ParleyError, asParleyError } from './errors.js'
import { applyEntry, applyRead, fromSnapshot, prependPage, trimTo, type ConversationState } from './reducer.js'
import type { ConversationId, Entry, EventEntry, EventName, Listener, Message, MessageId, PendingMessage, Seq, Unsubscribe, UserId } from './types.js'

export interface TimelineOptions {
  /** Messages a page. Default 50. */
  pageSize?: number
  /** Also what happened to members and the conversation. Default true. */
  events?: boolean
}

/** `failed`: see `error`; it tries again by itself at the next `welcome`. `removed`: one is no longer a member. */
export type TimelineStatus = 'idle' | 'loading' | 'ready' | 'failed' | 'removed'

/** In the order to show them. `key` stays the same when a pending message comes true. */
export type TimelineItem =
  | { type: 'message'; key: string; message: Message }
  | { type: 'event'; key: string; entry: EventEntry }
  | { type: 'pending'; key: string; pending: PendingMessage }

export interface TimelineSource {
  api: Pick<Api, 'conversations' | 'messages'>
  on: <E extends EventName>(event: E, listener: Listener<E>) => Unsubscribe
  pending: (id: ConversationId) => PendingMessage[]
  follow: (id: ConversationId, head: Seq) => void
  me: () => UserId | null
  /** What is known of an answer that grows. */
  growing: (id: MessageId) => string | undefined
}

/** The server's most for one page. */
const LONGEST_PAGE = 200

export class Timeline {
  readonly conversationId: ConversationId
  readonly #source: TimelineSource
  readonly #options: Required<TimelineOptions>
  readonly #listeners = new Set<() => void>()
  #ends: Unsubscribe[] = []
  #status: TimelineStatus = 'idle'
  #state: ConversationState | null = null
  #error: ParleyError | null = null
  /** Acknowledged, and the entry has not come yet. */
  readonly #sent = new Map<string, PendingMessage>()
  /** The newest entry heard of; the state must get there. */
  #heard: Seq = 0
  #load = 0
  #catching: Promise<void> | null = null
  #older: Promise<boolean> | null = null
  /** Entries applied while an older page is on its way; null when none is. */
  #since: Entry[] | null = null
  #items: TimelineItem[] | null = null
  /** The answers that grow, as they are shown: one object for one text, like all messages. */
  readonly #growing = new Map<MessageId, Message>()

  constructor(source: TimelineSource, conversationId: ConversationId, options: TimelineOptions = {}) {
    this.#source = source
    this.conversationId = conversationId
    this.#options = { pageSize: options.pageSize ?? 50, events: options.events ?? true }
  }

  get status(): TimelineStatus {
    return this.#status
  }

  /** Null until it is `ready` for the first time. */
  get state(): ConversationState | null {
    return this.#state
  }

  /** Why the last load failed. */
  get error(): ParleyError | null {
    return this.#error
  }

  get lowSeq(): Seq {
    return this.#state?.lowSeq ?? 0
  }

  get headSeq(): Seq {
    return this.#state?.head ?? 0
  }

  get hasOlder(): boolean {
    return this.lowSeq > 1
  }

  get loadingOlder(): boolean {
    return this.#older !== null
  }

  /** The same array until something changes. */
  get items(): readonly TimelineItem[] {
    return (this.#items ??= this.#arrange())
  }

  /** Called after every change, with nothing: look at the properties. */
  subscribe(listener: () => void): Unsubscribe {
    const own = () => listener()
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** Load the newest page and follow the log from there. Resolves when it is ready, or has failed. */
  async open(): Promise<void> {
    if (this.#ends.length === 0) this.#listen()
    await this.#snapshot()
  }

  close(): void {
    for (const end of this.#ends) end()
    this.#ends = []
    this.#load += 1
    this.#listeners.clear()
  }

  /** One more page at the top. False when there is none, or it could not be loaded (then `error` says why). Calls at once share one request. */
  loadOlder(limit = this.#options.pageSize): Promise<boolean> {
    if (!this.#state || !this.hasOlder) return Promise.resolve(false)
    this.#older ??= this.#fetchOlder(Math.min(limit, LONGEST_PAGE)).finally(() => {
      this.#older = null
      this.#since = null
      this.#changed()
    })
    this.#changed()
    return this.#older
  }

  /** Load until `seq` is there, e.g. to jump to a reply's original. False when it could not be reached. */
  async loadTo(seq: Seq): Promise<boolean> {
    while (this.#state && seq < this.lowSeq) if (!(await this.loadOlder(LONGEST_PAGE))) return false
    return this.#state !== null
  }

  /** Forget all but the newest `keep` messages, when the reader is back at the end of a long walk. */
  trim(keep: number): void {
    if (this.#state && !this.#older) this.#become(trimTo(this.#state, keep))
  }

  // ── inside ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #listen(): void {
    const here = (event: { conversation_id: ConversationId }) => event.conversation_id === this.conversationId
    const { on } = this.#source
    this.#ends = [
      on('entries', (news) => here(news) && this.#apply(news.entries)),
      on('read', (read) => here(read) && this.#state && this.#become(applyRead(this.#state, read))),
      on('reset', (reset) => {
        if (!here(reset)) return
        // It may be lower than what was heard before: that history is gone.
        this.#heard = reset.head
        void this.#snapshot()
      }),
      on('ai.delta', (delta) => here(delta) && this.#changed()),
      on('conversation.removed', (gone) => here(gone) && this.#say('removed')),
      on('conversation.added', ({ conversation }) => conversation.id === this.conversationId && this.#status === 'removed' && void this.#snapshot()),
      on('outbox', ({ message }) => this.#outbox(message)),
      on('welcome', () => {
        if (this.#status === 'failed') void this.#snapshot()
        else void this.#catchUp()
      }),
    ]
  }

  async #snapshot(again = 2): Promise<void> {
    const load = ++this.#load
    const { conversationId: id } = this
    const { pageSize: limit, events } = this.#options
    this.#say('loading')
    try {
      const { api } = this.#source
      const [conversation, page] = await Promise.all([api.conversations.get(id), api.messages.page(id, { limit, events })])
      if (load !== this.#load) return
      if (conversation.epoch !== page.epoch) {
        // History was restored between the two answers; the next two will agree.
        if (again > 0) return await this.#snapshot(again - 1)
        throw ParleyError.local('bad_response', undefined, 'The two halves of the snapshot are of different histories.')
      }
      this.#state = fromSnapshot(conversation, page, this.#source.me())
      this.#heard = Math.max(conversation.head, page.head, this.#heard)
      this.#forgetSent()
      this.#source.follow(id, this.#state.head)
      await this.#catchUp()
      if (load === this.#load) this.#say('ready')
    } catch (thrown) {
      if (load !== this.#load) return
      this.#error = asParleyError(thrown)
      this.#status = 'failed'
      this.#changed()
    }
  }

  #apply(entries: readonly Entry[]): void {
    this.#heard = Math.max(this.#heard, entries.at(-1)?.seq ?? 0)
    if (!this.#state) return
    let state = this.#state
    for (const entry of entries) {
      if (entry.seq > state.head + 1) break
      if (entry.seq > state.head) this.#since?.push(entry)
      state = applyEntry(state, entry)
    }
    this.#become(state)
    if (state.head < this.#heard) void this.#catchUp()
  }

  /** Fetch from the log what was heard of and is not here. Never rejects: what fails is tried again with the next entry or welcome. */
  #catchUp(): Promise<void> {
    this.#catching ??= this.#fetchMissing()
      .catch((thrown: unknown) => void (this.#error = asParleyError(thrown)))
      .finally(() => (this.#catching = null))
    return this.#catching
  }

  async #fetchMissing(): Promise<void> {
    while (this.#state && this.#state.head < this.#heard) {
      const { head: after, epoch } = this.#state
      const load = this.#load
      const page = await this.#source.api.conversations.log(this.conversationId, { after, epoch })
      if (load !== this.#load) return
      if (page.epoch !== epoch || page.head < after) return void this.#snapshot()
      for (const entry of page.entries) {
        if (entry.seq > this.#state.head) this.#since?.push(entry)
        this.#state = applyEntry(this.#state, entry)
      }
      // The log is the truth: what it does not have was never there.
      if (page.entries.length === 0) this.#heard = this.#state.head
      this.#forgetSent()
      this.#changed()
    }
  }

  async #fetchOlder(limit: number): Promise<boolean> {
    const load = this.#load
    const since: Entry[] = (this.#since = [])
    try {
      const page = await this.#source.api.messages.page(this.conversationId, { before: this.lowSeq, limit, events: this.#options.events })
      if (load !== this.#load || !this.#state) return false
      if (page.epoch !== this.#state.epoch) return void this.#snapshot(), false
      if (page.head > this.#state.head) {
        // The page has changes in it that the state has not: let the state have them first, or they would be applied twice.
        this.#heard = Math.max(this.#heard, page.head)
        await this.#catchUp()
        if (load !== this.#load || this.#state.head < page.head) return false
      }
      this.#become(prependPage(this.#state, page, since))
      return true
    } catch (thrown) {
      this.#error = asParleyError(thrown)
      return false
    }
  }

  #outbox(message: PendingMessage): void {
    const here = message.conversationId === this.conversationId
    if (here && message.state === 'sent' && (message.seq ?? 0) > this.headSeq) this.#sent.set(message.clientId, message)
    if (here || message.toUserId === this.#state?.conversation.peer?.id) this.#changed()
  }

  #become(state: ConversationState): void {
    if (state === this.#state) return
    this.#state = state
    this.#forgetSent()
    this.#changed()
  }

  /** Their entries have been applied. */
  #forgetSent(): void {
    for (const [clientId, { seq }] of this.#sent) if ((seq ?? 0) <= this.headSeq) this.#sent.delete(clientId)
  }

  #say(status: TimelineStatus): void {
    this.#status = status
    this.#error = null
    this.#changed()
  }

  #changed(): void {
    this.#items = null
    for (const listener of [...this.#listeners]) listener()
  }

  /** A growing answer with what is known of it by now. The stored message has no text before its end. */
  #grown(message: Message): Message {
    const text = this.#source.growing(message.id)
    if (text === undefined) return message
    const before = this.#growing.get(message.id)
    if (before?.text === text && before.reactions === message.reactions && before.pinned === message.pinned) return before
    const shown = { ...message, text }
    this.#growing.set(message.id, shown)
    return shown
  }

  #arrange(): TimelineItem[] {
    const { messages = [], events = [], me = null } = this.#state ?? {}
    const items: TimelineItem[] = []
    let next = 0
    const pushEvents = (before: Seq) => {
      for (let entry = events[next]; entry && entry.seq < before; entry = events[++next]) items.push({ type: 'event', key: `e${entry.seq}`, entry })
    }
    const mine = new Set<string>()
    for (const id of this.#growing.keys()) if (this.#source.growing(id) === undefined) this.#growing.delete(id)
    for (const message of messages) {
      pushEvents(message.seq)
      if (message.by === me) mine.add(message.client_id)
      // The client_id, so that a list keeps the element when the message comes true.
      const shown = message.status === 'streaming' ? this.#grown(message) : message
      items.push({ type: 'message', key: message.by === me ? message.client_id : message.id, message: shown })
    }
    pushEvents(Number.POSITIVE_INFINITY)
    for (const pending of [...this.#sent.values(), ...this.#source.pending(this.conversationId)]) {
      if (!mine.has(pending.clientId)) items.push({ type: 'pending', key: pending.clientId, pending })
    }
    return items
  }
}
