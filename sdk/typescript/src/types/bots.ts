/** Programs that come in: bots and webhooks. */
import type { User } from './accounts.js'
import type { ConversationId, Time, UserId } from './basics.js'

export interface Bot {
  id: UserId
  user: User
  owner_id: UserId
}

/** Of a bot. The token itself is only in the answer to its making. */
export interface BotToken {
  id: string
  created_at: Time
  last_used_at: Time
}

export interface Webhook {
  id: string
  conversation_id: ConversationId
  name: string
  /** The account that its messages are by. */
  user_id: UserId
  created_by: UserId
  created_at: Time
}
