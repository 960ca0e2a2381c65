/**
 * The nouns of the SDK.
 *
 * What travels keeps the names it has on the wire (`read_seq`, `last_message`), so that spec/protocol.md is its documentation;
 * what belongs to the SDK alone is written in camelCase (`clientId`, `reconnectAt`).
 * Ids are strings everywhere: a message id has 64 bits, and a JavaScript number cannot hold it.
 */
import type { ParleyError } from './errors.js'

export type UserId = string
export type ConversationId = string
export type MessageId = string
/** Position in one conversation's log: 1, 2, 3 … without a hole. */
export type Seq = number
/** RFC 3339, UTC, milliseconds. For showing; never for ordering. */
export type Time = string

export type ConversationKind = 'room' | 'group' | 'direct'
export type JoinPolicy = 'open' | 'invite'
export type Role = 'owner' | 'admin' | 'member'
export type ServerRole = 'admin' | 'member'
export type MessageKind = 'text' | 'image' | 'file' | 'voice' | 'location' | 'sticker' | 'system'
/** Of an assistant's answer only: `streaming` while it grows, then how it ended. */
export type MessageStatus = 'streaming' | 'done' | 'cancelled' | 'interrupted'

export interface User {
  id: UserId
  username: string
  display_name: string
  role: ServerRole
  guest: boolean
  created_at: Time
}

export interface Attachment {
  id: string
  name: string
  size: number
  type: string
  width?: number
  height?: number
  duration_ms?: number
}

export interface Reaction {
  emoji: string
  user_ids: UserId[]
}

export interface Message {
  id: MessageId
  conversation_id: ConversationId
  seq: Seq
  /** How many messages the conversation held up to and with this one; `unread` is a difference of two of these. */
  ordinal: number
  by: UserId
  at: Time
  client_id: string
  kind: MessageKind
  /** Null in a tombstone. */
  text: string | null
  reply_to: MessageId | null
  thread_of: MessageId | null
  mentions: UserId[]
  attachments: Attachment[]
  /** How often it was edited. */
  edit: number
  edited_at: Time | null
  deleted: boolean
  pinned: boolean
  reactions: Reaction[]
  status?: MessageStatus
}

export interface Conversation {
  id: ConversationId
  kind: ConversationKind
  /** A room's unique short name; null elsewhere. */
  name: string | null
  /** Null for a direct conversation: show `peer`. */
  title: string | null
  head: Seq
  epoch: string
  join_policy: JoinPolicy
  /** One's own. */
  role: Role
  member_count: number
  read_seq: Seq
  delivered_seq: Seq
  unread: number
  peer: User | null
  last_message: Message | null
  created_at: Time
  closed: boolean
}

export interface Member {
  user: User
  role: Role
  joined_at: Time
}

// ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What every entry carries, whatever happened. */
export interface EntryBase {
  seq: Seq
  /** Whose doing it was. */
  by: UserId
  at: Time
  client_id: string
  ordinal: number
}

/** The message of a `message.created` entry: what was written, before anything was done to it. */
export interface CreatedMessage {
  id: MessageId
  kind: MessageKind
  text: string | null
  reply_to: MessageId | null
  thread_of: MessageId | null
  mentions: UserId[]
  attachments: Attachment[]
  status?: MessageStatus
  /** True once the entry has been emptied by a delete, by retention or by an erasure. */
  deleted?: boolean
}

export interface MessageCreated extends EntryBase { kind: 'message.created'; message: CreatedMessage }
export interface MessageEdited extends EntryBase {
  kind: 'message.edited'
  message_id: MessageId
  /** Null once emptied by a delete. */
  text: string | null
  edit: number
}
export interface MessageDeleted extends EntryBase { kind: 'message.deleted'; message_id: MessageId }
export interface MessageCompleted extends EntryBase {
  kind: 'message.completed'
  message_id: MessageId
  /** Null once emptied by a delete; the status is then gone, too. */
  text: string | null
  status?: 'done' | 'cancelled' | 'interrupted'
}
export interface ReactionChanged extends EntryBase { kind: 'reaction.added' | 'reaction.removed'; message_id: MessageId; emoji: string }
export interface PinChanged extends EntryBase { kind: 'pin.added' | 'pin.removed'; message_id: MessageId }
export interface MemberEntered extends EntryBase { kind: 'member.joined' | 'member.changed'; user_id: UserId; name: string; role: Role }
export interface MemberLeft extends EntryBase { kind: 'member.left'; user_id: UserId; reason: 'left' | 'removed' | 'banned' }
export interface ConversationChanged extends EntryBase {
  kind: 'conversation.changed'
  title?: string | null
  name?: string | null
  join_policy?: JoinPolicy
}
export interface ConversationClosed extends EntryBase { kind: 'conversation.closed' }
export interface CallEnded extends EntryBase { kind: 'call.ended'; call_id: string; reason: string; duration_ms: number }

/** One durable change of a conversation. A kind this version does not know may turn up: it counts in `seq` and changes nothing. */
export type Entry =
  | MessageCreated
  | MessageEdited
  | MessageDeleted
  | MessageCompleted
  | ReactionChanged
  | PinChanged
  | MemberEntered
  | MemberLeft
  | ConversationChanged
  | ConversationClosed
  | CallEnded

/** The entries that tell a story beside the messages; what `events=true` adds to a page of messages. */
export type EventEntry = MemberEntered | MemberLeft | ConversationChanged | ConversationClosed

// ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** "Committed to durable storage, with this seq." */
export interface Ack {
  conversation_id: ConversationId
  seq: Seq
  at: Time
  /** True when the same client_id had been stored before; seq is then the first one. */
  duplicate: boolean
  message_id?: MessageId
}

export interface Page<T> {
  items: T[]
  /** Pass it as `after` for the next page; null at the end. */
  next: string | null
}

/** A stretch of messages, newest last, with the head of the log at the moment it was read. */
export interface MessagePage {
  items: Message[]
  epoch: string
  head: Seq
  next: string | number | null
  /** Present when asked for with `events: true`. */
  events?: EventEntry[]
}

export interface LogPage {
  conversation_id: ConversationId
  epoch: string
  head: Seq
  entries: Entry[]
  next_after: Seq | null
}

/** Limits of the server, e.g. `text_chars`. */
export type Limits = Record<string, number>

export interface ServerConfig {
  registration: 'open' | 'invite' | 'closed'
  first_account: boolean
  setup_code_needed: boolean
  version: string
  limits: Limits
}

/** Both tokens are null when the session was put in a cookie. */
export interface LoginResult {
  access_token: string | null
  refresh_token: string | null
  expires_in: number
  user: User
}

export interface Session {
  id: string
  kind: string
  current: boolean
  created_at: Time
  last_used_at: Time | null
  user_agent: string | null
  address: string | null
}

export interface Invite {
  id: string
  /** Only in the answer to its creation. */
  code?: string
  uses: number
  used: number
  expires_at: Time
  created_at: Time
}

export interface Room {
  id: ConversationId
  name: string
  title: string | null
  member_count: number
  joined: boolean
}

export interface MessageEdit {
  seq: Seq
  by: UserId
  at: Time
  text: string | null
}

export interface Receipt {
  user_id: UserId
  [more: string]: unknown
}

export interface Receipts {
  delivered: Receipt[]
  read: Receipt[]
}

export interface ReadMark {
  read_seq: Seq
  delivered_seq: Seq
  unread: number
}

// ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Credentials {
  username: string
  password: string
  /** Put the session in a cookie (the page). Default: true when the client has no `token` option. */
  cookie?: boolean
}

export interface Registration extends Credentials {
  display_name?: string
  invite?: string
  setup_code?: string
}

export interface NewConversation {
  kind: ConversationKind
  /** Made by the SDK when absent. Pass your own to make a retry harmless. */
  client_id?: string
  name?: string
  title?: string
  member_ids?: UserId[]
  /** The other one of a direct conversation. */
  user_id?: UserId
  join_policy?: JoinPolicy
}

export interface ConversationPatch {
  title?: string | null
  name?: string
  join_policy?: JoinPolicy
  client_id?: string
}

export interface MessageRange {
  /** Messages below this seq. */
  before?: Seq
  /** Messages above this seq. */
  after?: Seq
  around?: Seq
  limit?: number
  /** Also the `member.*` and `conversation.*` entries of the same stretch. */
  events?: boolean
}

// ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Outgoing {
  text: string
  kind?: MessageKind
  replyTo?: MessageId
  threadOf?: MessageId
  mentions?: UserId[]
  /** File ids. */
  attachments?: string[]
}

/** Where to: a conversation, or a user (the direct conversation with them, made on first use). */
export type Draft = Outgoing & ({ conversationId: ConversationId; toUserId?: undefined } | { toUserId: UserId; conversationId?: undefined })

export type PendingState = 'pending' | 'sent' | 'failed'

/**
 * A message of the outbox, as it stands. It is a snapshot: every change comes as a new object by the `outbox` event.
 * `sent` is said once, with `seq` and `messageId`; the message is then in the log and no longer in the outbox.
 */
export interface PendingMessage {
  readonly clientId: string
  readonly state: PendingState
  /** Known from the start, or learned from the ack when it was written to a user. */
  readonly conversationId: ConversationId | null
  readonly toUserId: UserId | null
  readonly kind: MessageKind
  readonly text: string
  readonly replyTo: MessageId | null
  readonly threadOf: MessageId | null
  readonly mentions: readonly UserId[]
  readonly attachments: readonly string[]
  /** Milliseconds since 1970, when it was written. */
  readonly createdAt: number
  /** Why it failed; or, while pending, why the last attempt did not succeed. */
  readonly error?: ParleyError
  readonly seq?: Seq
  readonly messageId?: MessageId
}

/**
 * How long to try. A durable command carries a client_id and is repeated with it over disconnects and retryable errors until it is
 * acknowledged or refused, or until one of these ends it; it may still have happened then, and repeating it by hand is harmless.
 */
export interface CommandOptions {
  /** Rejects with `aborted`. */
  signal?: AbortSignal
  /** Rejects with `timed_out`. Default 60 000; 0 waits for ever. */
  timeoutMs?: number
  /** To repeat a command of an earlier page. Default: a new UUIDv7. */
  clientId?: string
}

// ── connection ───────────────────────────────────────────────────────────────────────────────────────────────────────

export enum ConnectionState {
  /** The first attempt after `connect()`. */
  Connecting = 'connecting',
  /** The server has said `welcome`. */
  Connected = 'connected',
  /** Lost, and coming back: waiting for `reconnectAt`, or trying. */
  Reconnecting = 'reconnecting',
  /** Not asked to connect, or stopped for the `reason` given. Only `connect()` leaves this state. */
  Disconnected = 'disconnected',
}

/** Why a connection ended. `name` is one of codes.toml's, or `asked`, `connection_lost`, `heartbeat_missed`, `unreachable`. */
export interface DisconnectReason {
  name: string
  /** The close code, when there was one. */
  code?: number
  text?: string
}

export interface StateChange {
  state: ConnectionState
  /** Of `reconnecting` and `disconnected`. */
  reason: DisconnectReason | null
  /** When the next attempt starts, by the client's `now`; null while one is under way or none is planned. */
  reconnectAt: number | null
}

export interface Welcome {
  connection_id: string
  epoch: string
  user: User
  server_time: Time
  heartbeat_s: number
  limits: Limits
  /** The conversation everybody with an account is in. */
  lobby: ConversationId
  /** The most recent 200. */
  conversations: Conversation[]
}

// ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** New entries of one conversation: in order, each once, right after the ones before. */
export interface NewEntries {
  conversation_id: ConversationId
  /** The server's head when it sent them. */
  head: Seq
  /** More of the same catching-up is on its way. */
  more: boolean
  entries: Entry[]
}

export interface Typing {
  conversation_id: ConversationId
  user_id: UserId
  is_typing: boolean
}

export interface ReadMoved {
  conversation_id: ConversationId
  user_id: UserId
  read_seq: Seq
  delivered_seq: Seq
}

export interface Presence {
  users: { user_id: UserId; online: boolean; last_seen?: Time | null }[]
}

/** The local copy of this conversation is worth nothing any more: take a snapshot by HTTP. Entries go on from `head` + 1. */
export interface Reset {
  conversation_id: ConversationId
  head: Seq
}

export interface AiDelta {
  conversation_id: ConversationId
  message_id: MessageId
  offset: number
  text: string
}

/** `call.*` as it came; `type` is the frame's. */
export interface CallSignal {
  type: string
  payload: Record<string, unknown>
}

export interface EventMap {
  state: StateChange
  welcome: Welcome
  entries: NewEntries
  typing: Typing
  read: ReadMoved
  presence: Presence
  'conversation.added': { conversation: Conversation }
  'conversation.removed': { conversation_id: ConversationId }
  reset: Reset
  /** A message of the outbox changed, or was discarded (`discarded: true`). */
  outbox: { message: PendingMessage; discarded: boolean }
  notice: Record<string, unknown>
  'ai.delta': AiDelta
  'upload.progress': Record<string, unknown>
  call: CallSignal
  /** What went wrong and belongs to no call of yours. For a log or a toast; nothing needs to be done. */
  error: ParleyError
}

export type EventName = keyof EventMap
export type Listener<E extends EventName> = (event: EventMap[E]) => void
export type Unsubscribe = () => void

// ── what the outside lends us ────────────────────────────────────────────────────────────────────────────────────────

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

/** A message of the outbox as it is stored: plain JSON. */
export interface StoredMessage {
  clientId: string
  /** Whose it is. Another account signed in from the same browser neither sees nor sends it. */
  userId: UserId
  /** Send order. */
  order: number
  createdAt: number
  conversationId: ConversationId | null
  toUserId: UserId | null
  kind: MessageKind
  text: string
  replyTo: MessageId | null
  threadOf: MessageId | null
  mentions: readonly UserId[]
  attachments: readonly string[]
  /** Set when the server refused it for good. */
  error: { code: number; name: string; message: string } | null
}

/**
 * Where unsent messages survive a reload. Several tabs may use the same one at once, so every message is stored under its own key
 * and no call rewrites more than one. A call that rejects is reported by the `error` event and otherwise ignored: the message stays in memory.
 */
export interface OutboxStorage {
  /** All that is stored, of every account, in any order. */
  list(): Promise<StoredMessage[]>
  has(clientId: string): Promise<boolean>
  /** Insert or replace. */
  put(message: StoredMessage): Promise<void>
  /** No error if it is not there. */
  remove(clientId: string): Promise<void>
}

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
