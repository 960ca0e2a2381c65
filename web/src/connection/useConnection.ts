import { useIntervalFn, useOnline } from '@vueuse/core'
import { computed, ref } from 'vue'
import { useClient, useClientEvent } from '../client'

export type BarState = 'connected' | 'connecting' | 'reconnecting' | 'offline'

/** What the bar says of the connection: the SDK's states, plus what the browser knows of the network. */
export function useConnection() {
  const client = useClient()
  const online = useOnline()

  const state = ref(client.state)
  const reconnectAt = ref(client.reconnectAt)
  const now = ref(Date.now())

  useClientEvent('state', (change) => {
    state.value = change.state
    reconnectAt.value = change.reconnectAt
    now.value = Date.now()
  })
  useIntervalFn(() => (now.value = Date.now()), 250)

  const bar = computed<BarState>(() => {
    if (state.value === 'connected') return 'connected'
    if (!online.value || state.value === 'disconnected') return 'offline'
    return state.value === 'connecting' ? 'connecting' : 'reconnecting'
  })
  /** Whole seconds until the next attempt; null while one is under way. */
  const seconds = computed(() => {
    if (bar.value !== 'reconnecting' || reconnectAt.value === null) return null
    return Math.max(0, Math.ceil((reconnectAt.value - now.value) / 1000))
  })

  return { bar, seconds, reconnectNow: () => client.reconnectNow() }
}
