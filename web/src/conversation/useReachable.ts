import type { ConversationId } from '@parley/sdk'
import { computed, ref, watch } from 'vue'
import { useClient } from '../client'
import { useConversationsStore } from './useConversationsStore'

/** The conversation of an address: from the list, or asked for when it is beyond what the welcome named. */
export function useReachable(id: () => ConversationId) {
  const client = useClient()
  const conversations = useConversationsStore()
  const unreachable = ref(false)
  const conversation = computed(() => conversations.get(id()))

  watch(
    [id, () => conversations.loaded],
    async ([wanted, loaded]) => {
      unreachable.value = false
      if (!loaded || conversations.get(wanted)) return
      try {
        conversations.put(await client.api.conversations.get(wanted))
      } catch {
        if (wanted === id()) unreachable.value = true
      }
    },
    { immediate: true },
  )

  return { conversation, unreachable }
}
