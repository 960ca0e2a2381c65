/** The HTTP API as typed calls. Bodies and answers have the names of spec/protocol.md; every call rejects with a ParleyError only. */
import type {
  Ack,
  Bot,
  BotToken,
  Conversation,
  ConversationId,
  ConversationPatch,
  Credentials,
  FileLink,
  Invite,
  LogPage,
  LoginResult,
  Member,
  MessageEdit,
  MessageId,
  MessagePage,
  MessageRange,
  Message,
  NewConversation,
  Page,
  ReadMark,
  Receipts,
  Registration,
  Role,
  Room,
  Seq,
  ServerConfig,
  Session,
  User,
  UserId,
  Webhook,
} from './types.js'
import { path, type Http } from './http.js'

/** Where a list goes on: `next` of the page before. */
export interface ListOptions {
  limit?: number
  after?: string
}

export interface ApiContext {
  http: Http
  /** A new client_id for a call that brings none. */
  clientId: () => string
  /** Whether login asks for the session to be put in a cookie. */
  cookie: boolean
  /** Told whenever an answer says who is signed in. */
  signedIn: (user: User) => void
}

export function createApi({ http, clientId, cookie, signedIn }: ApiContext) {
  const known = (user: User): User => (signedIn(user), user)
  const login = async (door: string, body: Credentials | Registration): Promise<LoginResult> => {
    const result = await http.request<LoginResult>('POST', door, { body: { cookie, ...body } })
    known(result.user)
    return result
  }

  return {
    auth: {
      config: () => http.request<ServerConfig>('GET', '/auth/config'),
      register: (body: Registration) => login('/auth/register', body),
      login: (body: Credentials) => login('/auth/login', body),
      logout: () => http.request<void>('POST', '/auth/logout'),
      /** Ends every other session. */
      password: (oldPassword: string, newPassword: string) =>
        http.request<void>('POST', '/auth/password', { body: { old_password: oldPassword, new_password: newPassword } }),
      sessions: () => http.request<Page<Session>>('GET', '/auth/sessions'),
      revokeSession: (id: string) => http.request<void>('DELETE', path`/auth/sessions/${id}`),
    },

    /** For administrators. */
    invites: {
      /** The code is in this answer and in no later one. */
      create: (body: { uses?: number; hours?: number } = {}) => http.request<Invite>('POST', '/invites', { body }),
      list: () => http.request<Page<Invite>>('GET', '/invites'),
      remove: (id: string) => http.request<void>('DELETE', path`/invites/${id}`),
    },

    users: {
      me: async () => known(await http.request<User>('GET', '/users/me')),
      updateMe: (body: { display_name: string }) => http.request<User>('PATCH', '/users/me', { body }),
      get: (id: UserId) => http.request<User>('GET', path`/users/${id}`),
      /** Those whose name or display name begins with `q`. */
      search: (q: string, options: { limit?: number; signal?: AbortSignal } = {}) =>
        http.request<Page<User>>('GET', '/users', {
          query: { q, limit: options.limit },
          ...(options.signal ? { signal: options.signal } : {}),
        }),
    },

    conversations: {
      list: (options: ListOptions = {}) => http.request<Page<Conversation>>('GET', '/conversations', { query: { ...options } }),
      get: (id: ConversationId) => http.request<Conversation>('GET', path`/conversations/${id}`),
      /** The conversation, also when it was there already. */
      create: (body: NewConversation) =>
        http.request<Conversation>('POST', '/conversations', { body: { client_id: clientId(), ...body } }),
      patch: (id: ConversationId, body: ConversationPatch) =>
        http.request<Ack>('PATCH', path`/conversations/${id}`, { body: { client_id: clientId(), ...body } }),
      /** For ever: nothing can be written to it afterwards. For its owner. */
      close: (id: ConversationId) => http.request<Ack>('DELETE', path`/conversations/${id}`),
      join: (id: ConversationId) => http.request<Ack>('POST', path`/conversations/${id}/join`, { body: { client_id: clientId() } }),
      leave: (id: ConversationId) => http.request<Ack>('POST', path`/conversations/${id}/leave`, { body: { client_id: clientId() } }),
      members: (id: ConversationId, options: ListOptions = {}) =>
        http.request<Page<Member>>('GET', path`/conversations/${id}/members`, { query: { ...options } }),
      addMembers: (id: ConversationId, userIds: UserId[]) =>
        http.request<Page<Ack>>('POST', path`/conversations/${id}/members`, { body: { user_ids: userIds, client_id: clientId() } }),
      /** `owner` hands the conversation over; the old owner becomes admin. */
      setRole: (id: ConversationId, userId: UserId, role: Role) =>
        http.request<Ack>('PATCH', path`/conversations/${id}/members/${userId}`, { body: { role, client_id: clientId() } }),
      removeMember: (id: ConversationId, userId: UserId) => http.request<Ack>('DELETE', path`/conversations/${id}/members/${userId}`),
      /** The entries after `after`, as they are in the log. */
      log: (id: ConversationId, options: { after: Seq; epoch?: string; limit?: number }) =>
        http.request<LogPage>('GET', path`/conversations/${id}/log`, { query: { ...options } }),
    },

    rooms: {
      /** Open rooms to join. */
      list: (options: ListOptions & { q?: string } = {}) => http.request<Page<Room>>('GET', '/rooms', { query: { ...options } }),
    },

    messages: {
      /** The newest ones when no range is given; newest last. */
      page: (id: ConversationId, range: MessageRange = {}) =>
        http.request<MessagePage>('GET', path`/conversations/${id}/messages`, { query: { ...range } }),
      edits: (id: ConversationId, messageId: MessageId) =>
        http.request<Page<MessageEdit>>('GET', path`/conversations/${id}/messages/${messageId}/edits`),
      receipts: (id: ConversationId, messageId: MessageId) =>
        http.request<Receipts>('GET', path`/conversations/${id}/messages/${messageId}/receipts`),
      pins: (id: ConversationId) => http.request<Page<Message>>('GET', path`/conversations/${id}/pins`),
    },

    bots: {
      /** `token` is in this answer and in no later one. */
      create: (body: { username: string; display_name?: string }) => http.request<{ bot: Bot; token: string }>('POST', '/bots', { body }),
      /** One's own; or everybody's, for administrators. */
      list: (options: ListOptions & { all?: boolean } = {}) => http.request<Page<Bot>>('GET', '/bots', { query: { ...options } }),
      /** It never comes in again. What it said stays. */
      remove: (id: UserId) => http.request<void>('DELETE', path`/bots/${id}`),
      tokens: (id: UserId) => http.request<Page<BotToken>>('GET', path`/bots/${id}/tokens`),
      /** One more, so that one can be replaced without a pause. */
      issueToken: (id: UserId) => http.request<{ id: string; token: string }>('POST', path`/bots/${id}/tokens`),
      revokeToken: (id: UserId, tokenId: string) => http.request<void>('DELETE', path`/bots/${id}/tokens/${tokenId}`),
    },

    /** For administrators of the conversation. */
    webhooks: {
      /** `path` is in this answer and in no later one; whoever has it may post. */
      create: (id: ConversationId, name: string) =>
        http.request<{ webhook: Webhook; path: string }>('POST', path`/conversations/${id}/webhooks`, { body: { name } }),
      list: (id: ConversationId) => http.request<Page<Webhook>>('GET', path`/conversations/${id}/webhooks`),
      remove: (id: ConversationId, webhookId: string) => http.request<void>('DELETE', path`/conversations/${id}/webhooks/${webhookId}`),
    },

    files: {
      /** An address for `<img src>` and the like, where the session is a cookie: it goes along by itself. Elsewhere use `link`. */
      url: (id: string, options: { download?: boolean } = {}) =>
        http.url(path`/files/${id}`, { download: options.download || undefined }),
      /** A picture's WebP, 512 pixels at most; 404 where there is none. */
      thumbnailUrl: (id: string) => http.url(path`/files/${id}/thumbnail`),
      /** Signed links, for where no session can be shown: with a token, or in another program. */
      link: (id: string) => http.request<FileLink>('GET', path`/files/${id}/link`),
    },

    /** Over HTTP; `client.markRead` does it over the socket, and again after a reconnect. */
    read: (id: ConversationId, seq: Seq, deliveredSeq?: Seq) =>
      http.request<ReadMark>('PUT', path`/conversations/${id}/read`, { body: { seq, delivered_seq: deliveredSeq } }),

    /** Good for one socket, within 30 s. */
    ticket: () => http.request<{ ticket: string; expires_in: number }>('POST', '/auth/ws-ticket'),
  }
}

export type Api = ReturnType<typeof createApi>
