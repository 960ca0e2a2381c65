import { uuid7, type ConversationId } from '@parley/sdk'
import { defineStore } from 'pinia'
import { computed, shallowRef, watch } from 'vue'
import { useAssistantStore } from '../assistant/useAssistantStore'
import { useClient, useClientEvent } from '../client'
import { useSessionStore } from '../session/useSessionStore'
import { useToasts } from '../ui/useToasts'
import { alone } from './alone'
import { IndexedDbFiles } from './filesStorage'
import { OutgoingFiles, type NewFileMessage } from './OutgoingFiles'
import type { FileMessage } from './outgoing'
import { tusTransport } from './tusTransport'

/** The messages of whoever is signed in that wait for their files. */
export const useOutgoingStore = defineStore('outgoing', () => {
  const client = useClient()
  const session = useSessionStore()
  const toasts = useToasts()
  const assistant = useAssistantStore()

  const outgoing = shallowRef<OutgoingFiles | null>(null)
  let toldOfStorage = false

  function open(userId: string): void {
    outgoing.value = new OutgoingFiles({
      userId,
      storage: new IndexedDbFiles(),
      transport: tusTransport(client.uploads),
      newId: () => uuid7(Date.now),
      now: Date.now,
      hand: (draft) => {
        const mentions = assistant.mentionsIn(draft.text)
        client.send({ ...draft, ...(mentions.length ? { mentions } : {}) })
      },
      fileId: (url) => client.uploads.fileId(url),
      // What cannot be told now ends by itself: an upload without a message expires on the server.
      giveUp: (url) => void client.uploads.cancel(client.uploads.fileId(url)).catch(() => {}),
      alone,
      storageFailed: tellOfStorage,
    })
    outgoing.value.restore().catch(tellOfStorage)
  }

  /** Said once: private windows refuse each time. */
  function tellOfStorage(): void {
    if (toldOfStorage) return
    toldOfStorage = true
    void toasts.tell(Promise.reject({ name: 'storage_failed' }))
  }

  watch(
    () => (session.phase === 'in' ? session.myId : ''),
    (userId) => {
      outgoing.value?.close()
      outgoing.value = null
      if (userId) open(userId)
    },
    { immediate: true },
  )

  useClientEvent('welcome', () => outgoing.value?.wake())
  useClientEvent('outbox', ({ message, discarded }) => {
    if (!discarded && message.state !== 'sent') return
    outgoing.value?.forget(message.clientId)
    outgoing.value?.settle()
  })
  // Another tab may have sent it.
  useClientEvent('entries', ({ entries }) => {
    for (const entry of entries) {
      if (entry.kind === 'message.created' && entry.by === session.myId) outgoing.value?.forget(entry.client_id)
    }
  })

  const all = computed(() => [...(outgoing.value?.messages.values() ?? [])])
  const messagesIn = (id: ConversationId): FileMessage[] => all.value.filter(({ conversationId }) => conversationId === id)
  const message = (clientId: string) => outgoing.value?.messages.get(clientId)

  return {
    messagesIn,
    message,
    /** Throws `outbox_full`. */
    send: (message: NewFileMessage) => outgoing.value?.send(message),
    pause: (key: string) => outgoing.value?.pause(key),
    resume: (key: string) => outgoing.value?.resume(key),
    cancel: (key: string) => outgoing.value?.cancel(key),
    discard: (clientId: string) => outgoing.value?.discard(clientId),
    give: (key: string, file: File) => outgoing.value?.give(key, file) ?? false,
  }
})
