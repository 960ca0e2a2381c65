import type { ConversationId, Member } from '@parley/sdk'
import { computed, ref, shallowRef } from 'vue'
import { useClient, useClientEvent } from '../client'
import { usePeopleStore } from '../people/usePeopleStore'
import { usePresenceStore } from '../people/usePresenceStore'
import { useAction } from '../ui/useAction'

/** No screen shows more of them at once; the rest come on asking. */
const PAGE = 200

/** The members of a conversation, those online first. */
export function useMembers(id: ConversationId) {
  const client = useClient()
  const people = usePeopleStore()
  const presence = usePresenceStore()

  const members = shallowRef<readonly Member[]>([])
  const next = ref<string | null>(null)
  const loaded = ref(false)

  const loading = useAction(async (more: boolean) => {
    const page = await client.api.conversations.members(id, { limit: PAGE, ...(more && next.value ? { after: next.value } : {}) })
    people.know(...page.items.map((member) => member.user))
    members.value = more ? [...members.value, ...page.items] : page.items
    next.value = page.next
    loaded.value = true
  })
  void loading.run(false)

  presence.watchPeople(() => members.value.map((member) => member.user.id))

  const nameOf = (member: Member) => member.user.display_name || member.user.username
  const byName = (a: Member, b: Member) => nameOf(a).localeCompare(nameOf(b))
  const online = computed(() => members.value.filter((one) => presence.isOnline(one.user.id)).sort(byName))
  const others = computed(() => members.value.filter((one) => !presence.isOnline(one.user.id)).sort(byName))

  useClientEvent('entries', ({ conversation_id, entries }) => {
    if (conversation_id !== id) return
    for (const entry of entries) {
      if (entry.kind === 'member.left') members.value = members.value.filter((one) => one.user.id !== entry.user_id)
      else if (entry.kind === 'member.changed') {
        members.value = members.value.map((one) => (one.user.id === entry.user_id ? { ...one, role: entry.role } : one))
      } else if (entry.kind === 'member.joined') void loading.run(false)
    }
  })

  return { members, online, others, loaded, loading, next, nameOf }
}
