import type { UserId } from '@parley/sdk'
import { useDebounceFn, useTimeoutFn } from '@vueuse/core'
import { defineStore } from 'pinia'
import { onScopeDispose, shallowReactive, toValue, watch, type MaybeRefOrGetter } from 'vue'
import { useClient, useClientEvent } from '../client'

/** The server watches at most this many people for one connection. */
const MOST = 500
const FORGET_MS = 5000

/** Who is online, of those somebody on the page wants to know about. */
export const usePresenceStore = defineStore('presence', () => {
  const client = useClient()
  const seen = shallowReactive(new Map<UserId, { online: boolean; lastSeen: string | null }>())
  const wishes = new Map<symbol, readonly UserId[]>()

  // Opening a conversation changes several wishes at once; they go out as one.
  const send = useDebounceFn(() => {
    const ids = [...new Set([...wishes.values()].flat())].slice(0, MOST)
    // Where the connection goes away meanwhile, the SDK asks again at the next welcome.
    if (client.state === 'connected') void client.watchPresence(ids).catch(() => {})
  }, 50)

  /** Watches these people for as long as the caller lives. */
  function watchPeople(ids: MaybeRefOrGetter<readonly UserId[]>): void {
    const key = Symbol('wish')
    watch(
      () => toValue(ids).join(),
      () => {
        wishes.set(key, toValue(ids))
        void send()
      },
      { immediate: true },
    )
    onScopeDispose(() => {
      wishes.delete(key)
      void send()
    })
  }

  const isOnline = (id: UserId | null | undefined) => (id ? (seen.get(id)?.online ?? false) : false)
  const lastSeen = (id: UserId | null | undefined) => (id ? (seen.get(id)?.lastSeen ?? null) : null)

  // Cut off, one knows nothing of the others any more. A short cut is not worth a flicker.
  const forget = useTimeoutFn(() => seen.clear(), FORGET_MS, { immediate: false })
  useClientEvent('state', ({ state }) => {
    if (state === 'connected') forget.stop()
    else if (!forget.isPending.value) forget.start()
  })
  useClientEvent('welcome', () => void send())
  useClientEvent('presence', ({ users }) => {
    for (const user of users) {
      seen.set(user.user_id, {
        online: user.online,
        lastSeen: user.last_seen ?? seen.get(user.user_id)?.lastSeen ?? null,
      })
    }
  })

  return { isOnline, lastSeen, watchPeople }
})
