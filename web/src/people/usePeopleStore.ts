import type { User, UserId } from '@parley/sdk'
import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'
import { useClient, useClientEvent } from '../client'
import { useSessionStore } from '../session/useSessionStore'

/** Everybody the page has met, so that an id can be shown as a name. */
export const usePeopleStore = defineStore('people', () => {
  const client = useClient()
  const session = useSessionStore()
  const users = shallowReactive(new Map<UserId, User>())
  /** Names learned from the log, of people not fetched yet. */
  const names = shallowReactive(new Map<UserId, string>())
  const asked = new Set<UserId>()

  function know(...met: (User | null | undefined)[]): void {
    for (const user of met) if (user) users.set(user.id, user)
  }

  async function ask(id: UserId): Promise<void> {
    if (!id || asked.has(id)) return
    asked.add(id)
    try {
      know(await client.api.users.get(id))
    } catch {
      // The id stays without a name until it is next needed after a reconnect.
    }
  }

  /** The name to show. Unknown ids are asked for and fill in when the answer is there. */
  function nameOf(id: UserId): string {
    if (id === session.me?.id) return session.me.display_name || session.me.username
    const user = users.get(id)
    if (user) return user.display_name || user.username
    void ask(id)
    return names.get(id) ?? '…'
  }

  useClientEvent('welcome', ({ conversations, user }) => {
    asked.clear()
    know(user, ...conversations.map((conversation) => conversation.peer))
  })
  useClientEvent('conversation.added', ({ conversation }) => know(conversation.peer))
  useClientEvent('entries', ({ entries }) => {
    for (const entry of entries) {
      if (entry.kind === 'member.joined' || entry.kind === 'member.changed') names.set(entry.user_id, entry.name)
    }
  })

  return { users, know, nameOf }
})
