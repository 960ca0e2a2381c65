import type { Conversation, ConversationId } from '@parley/sdk'
import { useTimeoutFn } from '@vueuse/core'
import { defineStore } from 'pinia'
import { computed, ref, shallowReactive, watch } from 'vue'
import { useClient, useClientEvent } from '../client'
import { useSessionStore } from '../session/useSessionStore'
import { afterEntry, byActivity, listed, type Listed } from './reduce'

/** A welcome names at most this many conversations; the rest come by HTTP. */
const WELCOMED = 200
/** Some networks let no WebSocket through. After this long without a welcome, the list is asked for. */
const PATIENCE_MS = 3000

/** One's conversations, as the list shows them. */
export const useConversationsStore = defineStore('conversations', () => {
  const client = useClient()
  const session = useSessionStore()

  const all = shallowReactive(new Map<ConversationId, Listed>())
  const lobbyId = ref<ConversationId | null>(null)
  const loaded = ref(false)

  const sorted = computed(() => [...all.values()].sort(byActivity))
  const unreadTotal = computed(() => sorted.value.reduce((sum, one) => sum + one.unread, 0))

  const get = (id: ConversationId) => all.get(id)

  function put(conversation: Conversation): void {
    all.set(conversation.id, listed(conversation))
  }

  async function refresh(id: ConversationId): Promise<void> {
    put(await client.api.conversations.get(id))
  }

  async function loadRest(): Promise<void> {
    let after: string | null = null
    do {
      const page = await client.api.conversations.list({ limit: WELCOMED, ...(after ? { after } : {}) })
      for (const conversation of page.items) if (!all.has(conversation.id)) put(conversation)
      after = page.next
    } while (after)
  }

  async function loadWithoutWelcome(): Promise<void> {
    if (loaded.value || session.phase !== 'in') return
    await loadRest()
    lobbyId.value ??= [...all.values()].find((one) => one.kind === 'room' && one.name === 'lobby')?.id ?? null
    loaded.value = true
  }
  const patience = useTimeoutFn(() => void loadWithoutWelcome().catch(() => patience.start()), PATIENCE_MS, { immediate: false })
  watch(
    () => session.phase,
    (phase) => (phase === 'in' ? patience.start() : patience.stop()),
    { immediate: true },
  )

  /** Everything up to this message has been read here. */
  function markRead(id: ConversationId, seq: number, ordinal: number): void {
    const conversation = all.get(id)
    if (!conversation || seq <= conversation.read_seq) return
    const unread = Math.max(0, (conversation.last_message?.ordinal ?? 0) - ordinal)
    all.set(id, { ...conversation, read_seq: seq, readOrdinal: ordinal, unread })
    // Said again by the SDK after a reconnect; a refusal means it is not open to us any more.
    void client.markRead(id, seq).catch(() => {})
  }

  function clear(): void {
    all.clear()
    lobbyId.value = null
    loaded.value = false
  }

  useClientEvent('welcome', (welcome) => {
    const welcomed = new Set(welcome.conversations.map((conversation) => conversation.id))
    if (welcome.conversations.length < WELCOMED) {
      for (const id of all.keys()) if (!welcomed.has(id)) all.delete(id)
    } else void loadRest().catch(() => {})
    welcome.conversations.forEach(put)
    lobbyId.value = welcome.lobby
    loaded.value = true
  })

  useClientEvent('entries', ({ conversation_id: id, entries }) => {
    const conversation = all.get(id)
    if (!conversation) return
    all.set(id, entries.reduce((state, entry) => afterEntry(state, entry, session.myId), conversation))
  })

  useClientEvent('read', ({ conversation_id: id, user_id, read_seq, delivered_seq }) => {
    const conversation = all.get(id)
    if (!conversation || user_id !== session.myId || read_seq <= conversation.read_seq) return
    const next = { ...conversation, read_seq, delivered_seq }
    if (read_seq >= conversation.head) {
      all.set(id, { ...next, unread: 0, readOrdinal: conversation.last_message?.ordinal ?? conversation.readOrdinal })
    } else {
      all.set(id, next)
      // Read up to somewhere in the middle: only the server knows the ordinal there.
      void refresh(id).catch(() => {})
    }
  })

  useClientEvent('conversation.added', ({ conversation }) => put(conversation))
  useClientEvent('conversation.removed', ({ conversation_id }) => all.delete(conversation_id))
  useClientEvent('reset', ({ conversation_id }) => void refresh(conversation_id).catch(() => {}))

  return { all, sorted, lobbyId, loaded, unreadTotal, get, put, markRead, clear }
})
