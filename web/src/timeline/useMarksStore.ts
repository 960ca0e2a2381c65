import type { ConversationId, Message } from '@parley/sdk'
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'
import { useClient, useClientEvent } from '../client'
import type { OthersMarks } from '../message/shown'
import { useSessionStore } from '../session/useSessionStore'

const NONE: OthersMarks = { read: 0, delivered: 0 }
/** Asking about older messages than these is not worth a request. */
const ASKED = 16

/** How far the others have read and received, in each conversation: the furthest of them counts. */
export const useMarksStore = defineStore('marks', () => {
  const client = useClient()
  const session = useSessionStore()
  const marks = shallowReactive(new Map<ConversationId, OthersMarks>())

  const of = (id: ConversationId): OthersMarks => marks.get(id) ?? NONE

  function raise(id: ConversationId, read: number, delivered: number): void {
    const before = of(id)
    if (read <= before.read && delivered <= before.delivered) return
    marks.set(id, { read: Math.max(before.read, read), delivered: Math.max(before.delivered, delivered, read) })
  }

  /** Asks about one own message, and tells whether somebody has read it. */
  async function ask(id: ConversationId, message: Message): Promise<boolean> {
    const { read, delivered } = await client.api.messages.receipts(id, message.id)
    raise(id, read.length ? message.seq : 0, delivered.length ? message.seq : 0)
    return read.length > 0
  }

  /**
   * Find out what was read while this page was not there to hear it. Read positions only grow, so the border between read and unread
   * is found by halving; who has written has also read what stood before.
   */
  async function learn(id: ConversationId, messages: readonly Message[]): Promise<void> {
    const last = messages.findLast((message) => message.by !== session.myId)
    if (last) raise(id, last.seq, last.seq)
    const own = messages
      .filter((message) => message.by === session.myId && !message.deleted && message.seq > of(id).read)
      .slice(-ASKED)
    let low = 0
    let high = own.length - 1
    // The newest first: mostly it has been read, and that settles all.
    let middle = high
    while (low <= high) {
      if (await ask(id, own[middle]!)) low = middle + 1
      else high = middle - 1
      middle = (low + high) >> 1
    }
  }

  useClientEvent('read', ({ conversation_id, user_id, read_seq, delivered_seq }) => {
    if (user_id !== session.myId) raise(conversation_id, read_seq, delivered_seq)
  })

  return { of, learn, clear: () => marks.clear() }
})
