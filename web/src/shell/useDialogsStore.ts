import type { Attachment } from '@parley/sdk'
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'

/** Every dialog of the page and what it must be told. */
export interface Dialogs {
  room: undefined
  group: undefined
  message: undefined
  browse: undefined
  invite: undefined
  palette: undefined
  keys: undefined
  settings: { tab?: 'profile' | 'appearance' | 'security' | 'sessions' | 'invites' | 'bots' } | undefined
  addPeople: { conversationId: string }
  leave: { conversationId: string }
  webhooks: { conversationId: string }
  /** `fileId` is the one to begin with. */
  pictures: { pictures: readonly Attachment[]; fileId: string }
}

export type DialogName = keyof Dialogs

/** At most one dialog is open; reka-ui returns the focus when it closes. */
export const useDialogsStore = defineStore('dialogs', () => {
  const open = ref<DialogName | null>(null)
  const told = shallowRef<unknown>()

  function show<N extends DialogName>(name: N, about?: Dialogs[N]): void {
    open.value = name
    told.value = about
  }

  function close(): void {
    open.value = null
  }

  const isOpen = computed(() => open.value !== null)
  const about = <N extends DialogName>(_name: N) => told.value as Dialogs[N]

  return { open, isOpen, show, close, about }
})
