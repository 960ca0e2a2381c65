/** A conversation as the server keeps it: tables that change, and a log that says how. Written apart from the reducer, to judge it. */
import type { Conversation, Entry, EventEntry, Message, MessagePage, Seq } from '../src/index.js'

export type Act =
  | { do: 'say'; by: string; text: string }
  | { do: 'ask'; by: string }
  | { do: 'complete'; of: number; text: string; status: 'done' | 'cancelled' | 'interrupted' }
  | { do: 'edit'; of: number; text: string }
  | { do: 'delete'; of: number }
  | { do: 'react'; of: number; by: string; emoji: string }
  | { do: 'pin'; of: number }
  | { do: 'join' | 'leave'; user: string }
  | { do: 'rename'; title: string }
  | { do: 'close' }

export class Truth {
  log: Entry[] = []
  readonly #me: string
  readonly #messages: Message[] = []
  readonly #members = new Set(['1', '2'])
  #title: string | null = null
  #closed = false
  #read: Seq = 0

  constructor(me: string) {
    this.#me = me
  }

  /** What makes no sense (a message that is not there, one who is a member already) is a no-op, as it is for the server. */
  act(act: Act): void {
    if (this.#closed) return
    if (act.do === 'say') return this.#say(act.by, act.text)
    if (act.do === 'ask') return this.#say(act.by, '', { status: 'streaming' })
    if (act.do === 'join' && !this.#members.has(act.user)) {
      this.#members.add(act.user)
      return this.#write({ kind: 'member.joined', user_id: act.user, name: 'n', role: 'member' })
    }
    if (act.do === 'leave' && this.#members.delete(act.user)) return this.#write({ kind: 'member.left', user_id: act.user, reason: 'left' })
    if (act.do === 'rename') return this.#write({ kind: 'conversation.changed', title: (this.#title = act.title) })
    if (act.do === 'close') return (this.#closed = true), this.#write({ kind: 'conversation.closed' })
    if (!('of' in act)) return
    const message = this.#messages[act.of]
    if (!message || message.deleted) return
    const message_id = message.id
    if (act.do === 'complete') {
      if (message.status !== 'streaming') return
      Object.assign(message, { text: act.text, status: act.status })
      this.#write({ kind: 'message.completed', message_id, text: act.text, status: act.status })
    } else if (act.do === 'edit') {
      if (message.status === 'streaming') return
      Object.assign(message, { text: act.text, edit: message.edit + 1, edited_at: this.#at() })
      this.#write({ kind: 'message.edited', message_id, text: act.text, edit: message.edit })
    } else if (act.do === 'pin') {
      message.pinned = !message.pinned
      this.#write({ kind: message.pinned ? 'pin.added' : 'pin.removed', message_id })
    } else if (act.do === 'react') this.#react(message, act.by, act.emoji)
    else this.#delete(message)
  }

  conversation(): Conversation {
    return {
      id: '7', kind: 'room', name: 'seven', title: this.#title, head: this.log.length, epoch: 'e', join_policy: 'open', role: 'member',
      member_count: this.#members.size, read_seq: this.#read, delivered_seq: this.#read,
      unread: this.#messages.filter(({ seq }) => seq > this.#read).length, peer: null,
      last_message: structuredClone(this.#messages.at(-1) ?? null), created_at: '', closed: this.#closed,
    }
  }

  page({ before = Infinity, limit }: { before?: Seq; limit: number }): MessagePage {
    const all = this.#messages.filter(({ seq }) => seq < before)
    const items = structuredClone(all.slice(-limit))
    const next = all.length > items.length ? (items[0]?.seq ?? null) : null
    const low = next === null ? 0 : (items[0]?.seq ?? 0)
    const events = this.log.filter(
      (entry): entry is EventEntry => /^(member|conversation)\./.test(entry.kind) && entry.seq >= low && entry.seq < before,
    )
    return { items, epoch: 'e', head: this.log.length, next, events }
  }

  #say(by: string, text: string, more: { status?: 'streaming' } = {}): void {
    const seq = this.log.length + 1
    const written = { id: `m${seq}`, kind: 'text' as const, text, reply_to: 'm0', thread_of: null, mentions: ['2'], attachments: [], ...more }
    const ordinal = this.#messages.length + 1
    this.#messages.push({
      ...written, conversation_id: '7', seq, ordinal, by, at: this.#at(), client_id: `c${seq}`, edit: 0, edited_at: null, deleted: false,
      pinned: false, reactions: [],
    })
    if (by === this.#me) this.#read = seq
    this.#write({ kind: 'message.created', message: written, by })
  }

  #react(message: Message, by: string, emoji: string): void {
    const group = message.reactions.find((one) => one.emoji === emoji)
    const there = group?.user_ids.includes(by) ?? false
    if (there && group) group.user_ids.splice(group.user_ids.indexOf(by), 1)
    else if (group) group.user_ids.push(by)
    else message.reactions.push({ emoji, user_ids: [by] })
    message.reactions = message.reactions.filter((one) => one.user_ids.length > 0)
    this.#write({ kind: there ? 'reaction.removed' : 'reaction.added', message_id: message.id, emoji, by })
  }

  /** Empties the created and the edited entries alike; they stay where they are. */
  #delete(message: Message): void {
    const gone = { text: null, reply_to: null, thread_of: null, mentions: [], attachments: [], deleted: true }
    Object.assign(message, gone, { edited_at: null, pinned: false, reactions: [] })
    delete message.status
    this.log = this.log.map((entry) => {
      if (entry.kind === 'message.created' && entry.message.id === message.id) {
        const { status: _, ...written } = entry.message
        return { ...entry, message: { ...written, ...gone } }
      }
      const changed = entry.kind === 'message.edited' || entry.kind === 'message.completed'
      if (changed && entry.message_id === message.id) return { ...entry, text: null, deleted: true }
      return entry
    })
    this.#write({ kind: 'message.deleted', message_id: message.id })
  }

  #at(): string {
    return new Date(this.log.length * 1000).toISOString()
  }

  #write(body: Record<string, unknown> & { kind: Entry['kind'] }): void {
    const seq = this.log.length + 1
    this.log.push({ seq, by: '2', at: this.#at(), client_id: `c${seq}`, ordinal: this.#messages.length, ...body } as Entry)
  }
}
