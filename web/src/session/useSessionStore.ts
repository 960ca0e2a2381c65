import type { Registration, ServerConfig, User } from '@parley/sdk'
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { useClient, useClientEvent } from '../client'

/** Whether and as whom one is signed in. The session itself lies in a cookie no script can read. */
export const useSessionStore = defineStore('session', () => {
  const client = useClient()

  const phase = ref<'unknown' | 'out' | 'in'>('unknown')
  const me = ref<User | null>(null)
  const config = ref<ServerConfig | null>(null)
  /** One was signed in and is no longer, without having asked for it. */
  const ended = ref(false)
  /** The account was made just now, by this page: it is shown around. */
  const isNew = ref(false)

  const myId = computed(() => me.value?.id ?? '')
  const isAdmin = computed(() => me.value?.role === 'admin')

  function enter(user: User): void {
    me.value = user
    phase.value = 'in'
    ended.value = false
    client.connect()
  }

  /** Find out whether the cookie still holds a session. Throws when the server does not answer. */
  async function resume(): Promise<void> {
    try {
      enter(await client.api.users.me())
    } catch (error) {
      if ((error as { status?: number }).status !== 401) throw error
      phase.value = 'out'
    }
  }

  async function loadConfig(): Promise<void> {
    config.value = await client.api.auth.config()
  }

  async function signIn(username: string, password: string): Promise<void> {
    const { user } = await client.api.auth.login({ username, password, cookie: true })
    enter(user)
  }

  async function signUp(registration: Omit<Registration, 'cookie'>): Promise<void> {
    const { user } = await client.api.auth.register({ ...registration, cookie: true })
    isNew.value = true
    enter(user)
  }

  function leave(wasEnded: boolean): void {
    client.disconnect()
    me.value = null
    phase.value = 'out'
    ended.value = wasEnded
    isNew.value = false
  }

  /** Throws when the server was not reached: the cookie is then still good, and the next reload would be signed in. */
  async function signOut(): Promise<void> {
    try {
      await client.api.auth.logout()
    } catch (error) {
      if ((error as { status?: number }).status !== 401) throw error
    }
    leave(false)
  }

  async function rename(displayName: string): Promise<void> {
    me.value = await client.api.users.updateMe({ display_name: displayName })
  }

  useClientEvent('welcome', ({ user }) => (me.value = user))
  useClientEvent('state', ({ state, reason }) => {
    const over = reason?.name === 'session_ended' || reason?.name === 'unauthenticated' || reason?.name === 'banned'
    if (state === 'disconnected' && over && phase.value === 'in') leave(true)
  })

  return { phase, me, myId, isAdmin, config, ended, isNew, resume, loadConfig, signIn, signUp, signOut, rename }
})
