import type { User, UserId } from '@parley/sdk'
import { watchDebounced } from '@vueuse/core'
import { computed, onScopeDispose, ref, shallowRef, toValue, type MaybeRefOrGetter } from 'vue'
import { useClient } from '../client'
import { useSessionStore } from '../session/useSessionStore'
import { usePeopleStore } from './usePeopleStore'

/** People whose name begins with what is typed; an empty field shows the first of all. Oneself is left out. */
export function usePersonSearch(without: MaybeRefOrGetter<ReadonlySet<UserId>> = new Set<UserId>()) {
  const client = useClient()
  const people = usePeopleStore()
  const session = useSessionStore()

  const query = ref('')
  const found = shallowRef<readonly User[]>([])
  const loaded = ref(false)
  const error = ref<unknown>(null)
  let running: AbortController | null = null

  async function search(): Promise<void> {
    running?.abort()
    const mine = (running = new AbortController())
    try {
      const { items } = await client.api.users.search(query.value.trim(), { limit: 30, signal: mine.signal })
      if (mine !== running) return
      people.know(...items)
      found.value = items
      error.value = null
    } catch (thrown) {
      if (mine !== running) return
      error.value = thrown
    }
    loaded.value = true
  }

  watchDebounced(query, search, { debounce: 120, immediate: true })
  onScopeDispose(() => running?.abort())

  const results = computed(() => {
    const hidden = toValue(without)
    return found.value.filter((user) => user.id !== session.myId && !hidden.has(user.id))
  })

  return { query, results, loaded, error }
}
