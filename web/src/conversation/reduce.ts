import type { Conversation, Entry, UserId } from '@parley/sdk'

/**
 * What a list of conversations knows of one. `readOrdinal` is the ordinal at one's read position:
 * with it, `unread` is a subtraction and never a count.
 */
export interface Listed extends Conversation {
  readOrdinal: number
}

export function listed(conversation: Conversation): Listed {
  const headOrdinal = conversation.last_message?.ordinal ?? 0
  return { ...conversation, readOrdinal: headOrdinal - conversation.unread }
}

/** The conversation after one more entry of its log. Entries at or below its head have been counted already. */
export function afterEntry(conversation: Listed, entry: Entry, me: UserId): Listed {
  if (entry.seq <= conversation.head) return conversation
  const next: Listed = { ...conversation, head: entry.seq }
  const last = conversation.last_message
  switch (entry.kind) {
    case 'message.created':
      next.last_message = {
        ...entry.message,
        conversation_id: conversation.id,
        seq: entry.seq,
        ordinal: entry.ordinal,
        by: entry.by,
        at: entry.at,
        client_id: entry.client_id,
        edit: 0,
        edited_at: null,
        deleted: entry.message.deleted ?? false,
        pinned: false,
        reactions: [],
      }
      // Writing is reading: the server moves one's own mark, too.
      if (entry.by === me) Object.assign(next, { readOrdinal: entry.ordinal, read_seq: entry.seq })
      next.unread = Math.max(0, entry.ordinal - next.readOrdinal)
      break
    case 'message.completed':
      if (last?.id === entry.message_id) next.last_message = { ...last, text: entry.text, status: entry.status }
      break
    case 'message.edited':
      if (last?.id === entry.message_id) next.last_message = { ...last, text: entry.text }
      break
    case 'message.deleted':
      if (last?.id === entry.message_id) next.last_message = { ...last, text: null, attachments: [], reactions: [], deleted: true }
      break
    case 'member.joined':
      next.member_count = conversation.member_count + 1
      break
    case 'member.changed':
      if (entry.user_id === me) next.role = entry.role
      break
    case 'member.left':
      next.member_count = Math.max(0, conversation.member_count - 1)
      break
    case 'conversation.changed':
      if (entry.title !== undefined) next.title = entry.title
      if (entry.name !== undefined) next.name = entry.name
      if (entry.join_policy !== undefined) next.join_policy = entry.join_policy
      break
    case 'conversation.closed':
      next.closed = true
      break
  }
  return next
}

/** Newest activity first; what has none stands by its birth. */
export function byActivity(a: Listed, b: Listed): number {
  const when = (one: Listed) => one.last_message?.at ?? one.created_at
  return when(b).localeCompare(when(a))
}
