/** The ids and small words that everything else is made of. */

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
/** The last three are programs: a bot, what a webhook posts as, the assistant. */
export type ServerRole = 'admin' | 'member' | 'bot' | 'webhook' | 'assistant'
export type MessageKind = 'text' | 'image' | 'file' | 'voice' | 'location' | 'sticker' | 'system'

/** Of an assistant's answer only: `streaming` while it grows, then how it ended. */
export type MessageStatus = 'streaming' | 'done' | 'cancelled' | 'interrupted'

export interface Page<T> {
  items: T[]
  /** Pass it as `after` for the next page; null at the end. */
  next: string | null
}

/** Limits of the server, e.g. `text_chars`. */
export type Limits = Record<string, number>

export type Unsubscribe = () => void
