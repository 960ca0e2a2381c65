/** What the client tells by `on`. */
import type { ParleyError } from '../errors.js'
import type { ConversationId, MessageId, Seq, Time, UserId } from './basics.js'
import type { StateChange, Welcome } from './connection.js'
import type { Conversation } from './conversations.js'
import type { UploadProgress } from './files.js'
import type { Entry } from './log.js'
import type { PendingMessage } from './sending.js'

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

/** A piece of an answer that grows. `offset`: where it begins, in code points; 0 is all so far. `Timeline` joins them. */
export interface AiDelta {
  conversation_id: ConversationId
  message_id: MessageId
  offset: number
  text: string
}

/** One's question waits for the assistant; `place` 1 is next. */
export interface AiQueued {
  conversation_id: ConversationId
  /** The question. */
  message_id: MessageId
  place: number
}

/** A question that the assistant does not take, with the error that says why. */
export interface Notice {
  conversation_id: ConversationId
  /** The question. */
  message_id: MessageId
  code: number
  name: string
  message: string
  at: Time
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
  notice: Notice
  'ai.delta': AiDelta
  'ai.queued': AiQueued
  'upload.progress': UploadProgress
  call: CallSignal
  /** What went wrong and belongs to no call of yours. For a log or a toast; nothing needs to be done. */
  error: ParleyError
}

export type EventName = keyof EventMap
export type Listener<E extends EventName> = (event: EventMap[E]) => void
