import { useTitle } from '@vueuse/core'
import { computed } from 'vue'
import { useRoute } from 'vue-router'
import { useConversationName } from '../conversation/useConversationName'
import { useConversationsStore } from '../conversation/useConversationsStore'

/** `(3) Design · Parley` in the browser's tab. */
export function useTabTitle(): void {
  const route = useRoute()
  const conversations = useConversationsStore()
  const { nameOf } = useConversationName()

  useTitle(
    computed(() => {
      const open = route.name === 'conversation' ? conversations.get(String(route.params.id)) : undefined
      const count = conversations.unreadTotal ? `(${conversations.unreadTotal > 99 ? '99+' : conversations.unreadTotal}) ` : ''
      return count + (open ? `${nameOf(open)} · Parley` : 'Parley')
    }),
  )
}
