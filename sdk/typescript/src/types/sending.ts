/** What goes out, and how it is going. */
import type { ParleyError } from '../errors.js'
import type { ConversationId, MessageId, MessageKind, Seq, Time, UserId } from './basics.js'

/** "Committed to durable storage, with this seq." */
export interface Ack {
  conversation_id: ConversationId
  seq: Seq
  at: Time
  /** True when the same client_id had been stored before; seq is then the first one. */
  duplicate: boolean
  message_id?: MessageId
}

export interface Outgoing {
  text: string
  kind?: MessageKind
  replyTo?: MessageId
  threadOf?: MessageId
  mentions?: UserId[]
  /** File ids. */
  attachments?: string[]
  /** To repeat a message of an earlier page: the server keeps the first of one id. Default: a new UUIDv7. */
  clientId?: string
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
