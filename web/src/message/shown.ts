import type { Attachment, Message, MessageStatus, ParleyError, PendingMessage, Reaction, UserId } from '@parley/sdk'

/** How far an own message has got. It only ever goes forward, save that a failed one may be tried again. */
export type MessageState = 'pending' | 'sent' | 'delivered' | 'read' | 'failed'

/** A message as the timeline shows it: stored, or still in the outbox. */
export interface ShownMessage {
  /** The same before and after it is stored, so that it never jumps when its tick comes. */
  key: string
  clientId: string
  id: string | null
  seq: number | null
  /** How many messages there were up to and with this one. */
  ordinal: number | null
  by: UserId
  at: string
  kind: Message['kind']
  text: string | null
  replyTo: string | null
  attachments: readonly Attachment[]
  reactions: readonly Reaction[]
  edited: boolean
  editedAt: string | null
  deleted: boolean
  pinned: boolean
  /** Of an assistant's answer only. */
  status: MessageStatus | null
  own: boolean
  /** Null for the messages of others. */
  state: MessageState | null
  error: ParleyError | null
}

/** How far the others have read, the furthest of them. */
export interface OthersMarks {
  read: number
  delivered: number
}

export function stateOf(seq: number, marks: OthersMarks): MessageState {
  if (seq <= marks.read) return 'read'
  return seq <= marks.delivered ? 'delivered' : 'sent'
}

/** The reducer keeps the object of a message that did not change; so do we, and the row need not be drawn again. */
const known = new WeakMap<Message, ShownMessage>()

export function shownStored(message: Message, key: string, me: UserId, marks: OthersMarks): ShownMessage {
  const own = message.by === me
  const state = own ? stateOf(message.seq, marks) : null
  const before = known.get(message)
  if (before && before.key === key && before.own === own && before.state === state) return before
  const shown: ShownMessage = {
    key,
    clientId: message.client_id,
    id: message.id,
    seq: message.seq,
    ordinal: message.ordinal,
    by: message.by,
    at: message.at,
    kind: message.kind,
    text: message.text,
    replyTo: message.reply_to,
    attachments: message.attachments,
    reactions: message.reactions,
    edited: message.edit > 0,
    editedAt: message.edited_at,
    deleted: message.deleted,
    pinned: message.pinned,
    status: message.status ?? null,
    own,
    state,
    error: null,
  }
  known.set(message, shown)
  return shown
}

/** `attachments`: what this page knows of its files, which the server has not told yet. */
export function shownPending(pending: PendingMessage, me: UserId, attachments: readonly Attachment[] = []): ShownMessage {
  return {
    key: pending.clientId,
    clientId: pending.clientId,
    id: null,
    seq: null,
    ordinal: null,
    by: me,
    at: new Date(pending.createdAt).toISOString(),
    kind: pending.kind,
    text: pending.text,
    replyTo: pending.replyTo,
    attachments,
    reactions: [],
    edited: false,
    editedAt: null,
    deleted: false,
    pinned: false,
    status: null,
    own: true,
    state: pending.state,
    error: pending.error ?? null,
  }
}
