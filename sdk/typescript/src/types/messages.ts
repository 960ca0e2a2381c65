/** Messages as they stand now. */
import type { ConversationId, MessageId, MessageKind, MessageStatus, Seq, Time, UserId } from './basics.js'
import type { Attachment } from './files.js'
import type { EventEntry } from './log.js'

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

/** A stretch of messages, newest last, with the head of the log at the moment it was read. */
export interface MessagePage {
  items: Message[]
  epoch: string
  head: Seq
  next: string | number | null
  /** Present when asked for with `events: true`. */
  events?: EventEntry[]
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
