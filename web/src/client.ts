import type { EventName, Listener, ParleyClient } from '@parley/sdk'
import { inject, onScopeDispose, type InjectionKey } from 'vue'

/** The page's one connection. It is made in main.ts; everything else asks for it here. */
export const CLIENT: InjectionKey<ParleyClient> = Symbol('parley client')

export function useClient(): ParleyClient {
  const client = inject(CLIENT)
  if (!client) throw new Error('The app was made without a client; see main.ts')
  return client
}

/** Listens for as long as the calling component or store lives. */
export function useClientEvent<E extends EventName>(event: E, listener: Listener<E>): void {
  onScopeDispose(useClient().on(event, listener))
}
