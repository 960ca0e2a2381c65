import { useEventListener } from '@vueuse/core'
import { useRoute, useRouter } from 'vue-router'
import { useConversationsStore } from '../conversation/useConversationsStore'
import { toConversation } from '../router'
import { useDialogsStore } from './useDialogsStore'

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}

/** The keys that work everywhere. `keys.*` in the locales lists them for the reader. */
export function useShortcuts(): void {
  const route = useRoute()
  const router = useRouter()
  const conversations = useConversationsStore()
  const dialogs = useDialogsStore()

  function step(by: 1 | -1): void {
    const order = conversations.sorted
    if (order.length === 0) return
    const at = order.findIndex((one) => one.id === route.params.id)
    const next = order[(at + by + order.length) % order.length] ?? order[0]!
    void router.push(toConversation(next.id))
  }

  function closeSide(): boolean {
    if (!route.query.side) return false
    void router.push({ query: {} })
    return true
  }

  useEventListener(document, 'keydown', (event: KeyboardEvent) => {
    // Keys of an input method belong to it.
    if (event.isComposing || event.defaultPrevented) return
    const command = event.metaKey || event.ctrlKey
    if (command && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
      event.preventDefault()
      if (dialogs.open === 'palette') dialogs.close()
      else dialogs.show('palette')
      return
    }
    if (dialogs.isOpen) return
    if (event.altKey && !command && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault()
      step(event.key === 'ArrowDown' ? 1 : -1)
    } else if (event.key === '?' && !isWriting(event.target)) {
      event.preventDefault()
      dialogs.show('keys')
    } else if (event.key === 'Escape' && closeSide()) event.preventDefault()
  })
}
