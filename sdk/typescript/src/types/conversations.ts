/** Conversations, their members, and what is asked of them. */
import type { User } from './accounts.js'
import type { ConversationId, ConversationKind, JoinPolicy, Role, Seq, Time, UserId } from './basics.js'
import type { Message } from './messages.js'

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

export interface Room {
  id: ConversationId
  name: string
  title: string | null
  member_count: number
  joined: boolean
}

export interface ReadMark {
  read_seq: Seq
  delivered_seq: Seq
  unread: number
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
