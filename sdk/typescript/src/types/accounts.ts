/** Accounts, sessions and invites. */
import type { Limits, ServerRole, Time, UserId } from './basics.js'

export interface User {
  id: UserId
  username: string
  display_name: string
  role: ServerRole
  guest: boolean
  created_at: Time
}

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
