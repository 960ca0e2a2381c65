/** The connection and its states. */
import type { User } from './accounts.js'
import type { ConversationId, Limits, Time, UserId } from './basics.js'
import type { Conversation } from './conversations.js'

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
  /** Null where none is configured. */
  assistant: { id: UserId; name: string } | null
  /** Whether one may make bots. */
  makes_bots: boolean
  /** The most recent 200. */
  conversations: Conversation[]
}
