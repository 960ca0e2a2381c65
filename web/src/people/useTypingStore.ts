import type { ConversationId, UserId } from '@parley/sdk'
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'
import { useClientEvent } from '../client'

/** As long as the server lets a sign of typing stand, and a little for the way. */
const EXPIRES_MS = 6500

/** Who is writing where, in the order in which they began. */
export const useTypingStore = defineStore('typing', () => {
  const writers = shallowReactive(new Map<ConversationId, readonly UserId[]>())
  const timers = new Map<string, ReturnType<typeof setTimeout>>()

  function set(conversation: ConversationId, user: UserId, isTyping: boolean): void {
    const key = `${conversation} ${user}`
    clearTimeout(timers.get(key))
    timers.delete(key)
    const before = writers.get(conversation) ?? []
    if (isTyping) {
      timers.set(key, setTimeout(() => set(conversation, user, false), EXPIRES_MS))
      if (!before.includes(user)) writers.set(conversation, [...before, user])
    } else if (before.includes(user)) {
      writers.set(conversation, before.filter((one) => one !== user))
    }
  }

  const typingIn = (conversation: ConversationId) => writers.get(conversation) ?? []

  useClientEvent('typing', ({ conversation_id, user_id, is_typing }) => set(conversation_id, user_id, is_typing))
  // A message ends its writer's typing, also when the sign of it is late.
  useClientEvent('entries', ({ conversation_id, entries }) => {
    for (const entry of entries) if (entry.kind === 'message.created') set(conversation_id, entry.by, false)
  })

  return { typingIn }
})
