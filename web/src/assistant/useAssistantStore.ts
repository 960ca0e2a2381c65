import type { ConversationId, MessageId, Notice, UserId } from '@parley/sdk'
import { defineStore } from 'pinia'
import { ref, shallowReactive } from 'vue'
import { useClient, useClientEvent } from '../client'
import { addresses } from './asking'

/** Questions of which something is known beside the log; the oldest is forgotten. */
const MOST = 200

/** Who the assistant is, and how it goes with questions that are not being answered. */
export const useAssistantStore = defineStore('assistant', () => {
  const client = useClient()

  /** Null where none is configured. */
  const assistant = ref(client.welcome?.assistant ?? null)
  /** By question: its place in the line. */
  const places = shallowReactive(new Map<MessageId, number>())
  /** By question: why it is not answered. */
  const refusals = shallowReactive(new Map<MessageId, Notice>())

  function put<T>(map: Map<MessageId, T>, id: MessageId, value: T): void {
    map.set(id, value)
    if (map.size > MOST) map.delete(map.keys().next().value!)
  }

  function settle(question: MessageId): void {
    places.delete(question)
    refusals.delete(question)
  }

  /** Whom a text mentions by `@ai`, wherever in it that stands. */
  function mentionsIn(text: string): UserId[] {
    return assistant.value && addresses(text) ? [assistant.value.id] : []
  }

  /** Ask it the same once more. Throws when the outbox is full. */
  function askAgain(conversationId: ConversationId, text: string, replyTo: MessageId | null): void {
    client.send({ conversationId, text, mentions: mentionsIn(text), ...(replyTo ? { replyTo } : {}) })
  }

  /** Stop an answer, or take back a question that waits. */
  async function stop(conversationId: ConversationId, message: MessageId): Promise<void> {
    await client.cancelAssistant(conversationId, message)
    places.delete(message)
  }

  useClientEvent('welcome', (welcome) => {
    assistant.value = welcome.assistant
    // What moved on while the connection was away is not said again; what still waits says its next place.
    places.clear()
  })
  useClientEvent('ai.queued', ({ message_id, place }) => put(places, message_id, place))
  useClientEvent('notice', (notice) => {
    if (!notice.message_id) return
    places.delete(notice.message_id)
    put(refusals, notice.message_id, notice)
  })
  useClientEvent('entries', ({ entries }) => {
    for (const entry of entries) {
      if (entry.kind === 'message.created' && entry.message.status && entry.message.reply_to) settle(entry.message.reply_to)
      else if (entry.kind === 'message.deleted') settle(entry.message_id)
    }
  })

  return { assistant, places, refusals, mentionsIn, askAgain, stop }
})
