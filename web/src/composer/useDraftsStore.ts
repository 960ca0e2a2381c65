import type { ConversationId } from '@parley/sdk'
import { useStorage } from '@vueuse/core'
import { defineStore } from 'pinia'
import { useSessionStore } from '../session/useSessionStore'

/** What was begun and not sent, kept per account and conversation in this browser. */
export const useDraftsStore = defineStore('drafts', () => {
  const session = useSessionStore()
  const drafts = useStorage<Record<string, string>>('parley.drafts', {})

  const keyOf = (conversation: ConversationId) => `${session.myId}/${conversation}`

  const draftOf = (conversation: ConversationId): string => drafts.value[keyOf(conversation)] ?? ''

  function keep(conversation: ConversationId, text: string): void {
    if (text.trim()) drafts.value[keyOf(conversation)] = text
    else delete drafts.value[keyOf(conversation)]
  }

  return { draftOf, keep }
})
