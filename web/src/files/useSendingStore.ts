import type { ConversationId, UploadProgress } from '@parley/sdk'
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'
import { useClientEvent } from '../client'
import { useSessionStore } from '../session/useSessionStore'

/** The server tells twice a second; what has not moved for so long was paused, or its sender is gone. */
const EXPIRES_MS = 30_000
/** From the last byte to the message it should be a moment. */
const DONE_EXPIRES_MS = 5000
/** A line for each is drawn; more than these at once are not followed. */
const FOLLOWED = 50

/** Which files the others are sending, in the order in which they began. */
export const useSendingStore = defineStore('sending', () => {
  const session = useSessionStore()
  const uploads = shallowReactive(new Map<string, UploadProgress>())
  const timers = new Map<string, ReturnType<typeof setTimeout>>()

  function drop(id: string): void {
    clearTimeout(timers.get(id))
    timers.delete(id)
    uploads.delete(id)
  }

  useClientEvent('upload.progress', (progress) => {
    const { upload_id: id } = progress
    if (progress.user_id === session.myId) return
    if (progress.cancelled) return drop(id)
    if (!uploads.has(id) && (progress.done || uploads.size >= FOLLOWED)) return
    clearTimeout(timers.get(id))
    timers.set(id, setTimeout(() => drop(id), progress.done ? DONE_EXPIRES_MS : EXPIRES_MS))
    uploads.set(id, progress)
  })
  useClientEvent('entries', ({ entries }) => {
    for (const entry of entries) {
      if (entry.kind === 'message.created') for (const { id } of entry.message.attachments) drop(id)
    }
  })

  const sendingIn = (id: ConversationId) => [...uploads.values()].filter(({ conversation_id }) => conversation_id === id)

  return { sendingIn }
})
