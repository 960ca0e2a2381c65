/**
 * One conversation as a value: a snapshot by HTTP, and the log applied to it entry by entry. Pure.
 *
 * The law: a snapshot at head h, and then the entries h+1 … n, is the snapshot at head n. A repeated entry changes nothing.
 */
import type { Conversation, Entry, EventEntry, Message, MessageCreated, MessageId, MessagePage, ReadMoved, Reaction, Seq, UserId } from './types.js'

export interface ConversationState {
  /** As the server would answer now: title, members, unread, last message. */
  readonly conversation: Conversation
  /** The history this belongs to. */
  readonly epoch: string
  /** The last entry applied. */
  readonly head: Seq
  /** Everything from here to `head` is here. 1 when there is nothing older. */
  readonly lowSeq: Seq
  /** Oldest first. */
  readonly messages: readonly Message[]
  /** What happened to the members and the conversation in the same stretch, oldest first. */
  readonly events: readonly EventEntry[]
  readonly me: UserId | null
  /** Up to where each half of the snapshot had seen the log: they are two requests, and the log may grow in between. */
  readonly seen: { readonly conversation: Seq; readonly messages: Seq }
}

/** An entry that does not follow the last one: something in between has to be fetched first. */
export class LogHole extends Error {
  override readonly name = 'LogHole'
  constructor(
    readonly expected: Seq,
    readonly got: Seq,
  ) {
    super(`entry ${got} came where ${expected} should be`)
  }
}

/** From `api.conversations.get` and `api.messages.page` (the newest page), of the same epoch. Go on with the entries after `head`. */
export function fromSnapshot(conversation: Conversation, page: MessagePage, me: UserId | null): ConversationState {
  return {
    conversation,
    epoch: page.epoch,
    head: Math.min(conversation.head, page.head),
    lowSeq: lowest(page),
    messages: page.items,
    events: page.events ?? [],
    me,
    seen: { conversation: conversation.head, messages: page.head },
  }
}

/** The state after one more entry. The same object for a repeat; throws LogHole when an entry is missing before it. */
export function applyEntry(state: ConversationState, entry: Entry): ConversationState {
  if (entry.seq <= state.head) return state
  if (entry.seq !== state.head + 1) throw new LogHole(state.head + 1, entry.seq)
  const conversation =
    entry.seq > state.seen.conversation ? { ...changeConversation(state.conversation, entry, state.me), head: entry.seq } : state.conversation
  if (entry.seq <= state.seen.messages) return { ...state, conversation, head: entry.seq }
  return {
    ...state,
    conversation,
    head: entry.seq,
    messages: changeMessages(state.messages, entry, conversation.id),
    events: isEvent(entry) ? [...state.events, entry] : state.events,
  }
}

/** A read mark moved; only one's own is part of the state. Marks never go back. */
export function applyRead(state: ConversationState, read: ReadMoved): ConversationState {
  if (read.user_id !== state.me) return state
  const { conversation } = state
  const read_seq = Math.max(conversation.read_seq, read.read_seq)
  const delivered_seq = Math.max(conversation.delivered_seq, read.delivered_seq, read_seq)
  if (read_seq === conversation.read_seq && delivered_seq === conversation.delivered_seq) return state
  return { ...state, conversation: { ...conversation, read_seq, delivered_seq, unread: unread(state, read_seq) } }
}

/**
 * An older page, put in front. `since`: the entries applied after the page was asked for. The page may be older than the state
 * by some of them, and never newer: bring the state up to `page.head` first.
 */
export function prependPage(state: ConversationState, page: MessagePage, since: readonly Entry[]): ConversationState {
  const missed = since.filter((entry) => entry.seq > page.head)
  const older = page.items.filter((message) => message.seq < state.lowSeq).map((message) => missed.reduce(changeMessage, message))
  const events = (page.events ?? []).filter((entry) => entry.seq < state.lowSeq)
  return {
    ...state,
    lowSeq: Math.min(state.lowSeq, lowest(page)),
    messages: [...older, ...state.messages],
    events: [...events, ...state.events],
  }
}

/** Only the newest `keep` messages; the others can be loaded again. */
export function trimTo(state: ConversationState, keep: number): ConversationState {
  const messages = state.messages.slice(-Math.max(1, keep))
  const lowSeq = messages[0]?.seq
  if (lowSeq === undefined || messages.length === state.messages.length) return state
  return { ...state, lowSeq, messages, events: state.events.filter((entry) => entry.seq >= lowSeq) }
}

function lowest(page: MessagePage): Seq {
  return page.next === null ? 1 : (page.items[0]?.seq ?? 1)
}

function isEvent(entry: Entry): entry is EventEntry {
  return entry.kind.startsWith('member.') || entry.kind.startsWith('conversation.')
}

// ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function changeMessages(messages: readonly Message[], entry: Entry, conversation: string): readonly Message[] {
  if (entry.kind === 'message.created') return [...messages, created(entry, conversation)]
  const target = (entry as { message_id?: MessageId }).message_id
  if (target === undefined) return messages
  // From the end: what is changed is nearly always recent.
  const index = messages.findLastIndex((message) => message.id === target)
  const message = messages[index]
  if (!message) return messages
  const changed = changeMessage(message, entry)
  return changed === message ? messages : messages.with(index, changed)
}

function created(entry: MessageCreated, conversation_id: string): Message {
  const { deleted = false, ...written } = entry.message
  const message: Message = {
    ...written,
    conversation_id,
    seq: entry.seq,
    ordinal: entry.ordinal,
    by: entry.by,
    at: entry.at,
    client_id: entry.client_id,
    edit: 0,
    edited_at: null,
    deleted: false,
    pinned: false,
    reactions: [],
  }
  return deleted ? tombstone(message) : message
}

/** One message after one entry; the same object when nothing changes. */
function changeMessage(message: Message, entry: Entry): Message {
  if ((entry as { message_id?: MessageId }).message_id !== message.id) return message
  // Of a tombstone only the count of edits goes on, for their entries stay. What hung on the message is gone for good.
  if (message.deleted) return entry.kind === 'message.edited' ? { ...message, edit: entry.edit } : message
  switch (entry.kind) {
    case 'message.edited':
      // Without a text, it was emptied by a delete that comes later in the log: there is nothing to show any more.
      if (entry.text === null) return { ...tombstone(message), edit: entry.edit }
      return { ...message, text: entry.text, edit: entry.edit, edited_at: entry.at }
    case 'message.completed':
      if (entry.text === null) return tombstone(message)
      return { ...message, text: entry.text, status: entry.status }
    case 'message.deleted':
      return tombstone(message)
    case 'reaction.added':
      return { ...message, reactions: addReaction(message.reactions, entry.emoji, entry.by) }
    case 'reaction.removed':
      return { ...message, reactions: removeReaction(message.reactions, entry.emoji, entry.by) }
    case 'pin.added':
      return { ...message, pinned: true }
    case 'pin.removed':
      return { ...message, pinned: false }
    default:
      return message
  }
}

/** Its place stays, and how often it was edited; all it said, and all that hung on it, is gone. */
function tombstone({ status: _, ...message }: Message): Message {
  return {
    ...message,
    text: null,
    reply_to: null,
    thread_of: null,
    mentions: [],
    attachments: [],
    edited_at: null,
    deleted: true,
    pinned: false,
    reactions: [],
  }
}

function addReaction(reactions: Reaction[], emoji: string, by: UserId): Reaction[] {
  if (!reactions.some((one) => one.emoji === emoji)) return [...reactions, { emoji, user_ids: [by] }]
  return reactions.map((one) => (one.emoji === emoji && !one.user_ids.includes(by) ? { emoji, user_ids: [...one.user_ids, by] } : one))
}

function removeReaction(reactions: Reaction[], emoji: string, by: UserId): Reaction[] {
  return reactions
    .map((one) => (one.emoji === emoji ? { emoji, user_ids: one.user_ids.filter((user) => user !== by) } : one))
    .filter((one) => one.user_ids.length > 0)
}

// ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────────

function changeConversation(conversation: Conversation, entry: Entry, me: UserId | null): Conversation {
  switch (entry.kind) {
    case 'message.created': {
      const last_message = created(entry, conversation.id)
      // Writing is reading: one's own message moves one's own mark.
      if (entry.by === me) return { ...conversation, last_message, read_seq: entry.seq, delivered_seq: entry.seq, unread: 0 }
      return { ...conversation, last_message, unread: conversation.unread + 1 }
    }
    case 'member.joined':
      return { ...conversation, member_count: conversation.member_count + 1 }
    case 'member.left':
      return { ...conversation, member_count: conversation.member_count - 1 }
    case 'member.changed':
      return entry.user_id === me ? { ...conversation, role: entry.role } : conversation
    case 'conversation.changed': {
      const { title = conversation.title, name = conversation.name, join_policy = conversation.join_policy } = entry
      return { ...conversation, title, name, join_policy }
    }
    case 'conversation.closed':
      // Its name is free again (spec/protocol.md, Shapes).
      return { ...conversation, closed: true, name: null }
    default: {
      const { last_message } = conversation
      return last_message ? { ...conversation, last_message: changeMessage(last_message, entry) } : conversation
    }
  }
}

function unread(state: ConversationState, readSeq: Seq): number {
  // Countable only over a stretch that is here; below it, the server's figure stands until it says another.
  if (readSeq + 1 < state.lowSeq) return state.conversation.unread
  return state.messages.filter((message) => message.seq > readSeq).length
}
