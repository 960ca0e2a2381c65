import { useStorage } from '@vueuse/core'
import { watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import { useConversationsStore } from '../conversation/useConversationsStore'
import { toConversation } from '../router'
import { useSessionStore } from '../session/useSessionStore'
import { useIsPhone } from './useIsPhone'

/** Where one lands: a new account in the lobby, everybody else where they were; on a phone, at the list. */
export function useLanding(): void {
  const route = useRoute()
  const router = useRouter()
  const session = useSessionStore()
  const conversations = useConversationsStore()
  const isPhone = useIsPhone()
  const last = useStorage<Record<string, string>>('parley.last', {})

  watch(
    () => (route.name === 'conversation' ? String(route.params.id) : null),
    (id) => {
      if (id && session.myId) last.value[session.myId] = id
    },
    { immediate: true },
  )

  watch(
    [() => route.name, () => conversations.loaded, isPhone],
    () => {
      if (route.name !== 'home' || !conversations.loaded || !conversations.lobbyId) return
      if (session.isNew) {
        session.isNew = false
        void router.push(toConversation(conversations.lobbyId))
      } else if (!isPhone.value) {
        const before = last.value[session.myId]
        void router.replace(toConversation(before && conversations.get(before) ? before : conversations.lobbyId))
      }
    },
    { immediate: true },
  )
}
