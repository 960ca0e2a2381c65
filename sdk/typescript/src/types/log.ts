/** The log: what happened, entry by entry. */
import type { ConversationId, JoinPolicy, MessageId, MessageKind, MessageStatus, Role, Seq, Time, UserId } from './basics.js'
import type { Attachment } from './files.js'

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
  /** Null once emptied by a delete. */
  text: string | null
  status: 'done' | 'cancelled' | 'interrupted'
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

export interface LogPage {
  conversation_id: ConversationId
  epoch: string
  head: Seq
  entries: Entry[]
  next_after: Seq | null
}
