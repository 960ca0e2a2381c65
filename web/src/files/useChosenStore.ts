import type { ConversationId } from '@parley/sdk'
import { defineStore } from 'pinia'
import { ref, shallowReactive, watch } from 'vue'
import { useI18n } from 'vue-i18n'
import { useClient } from '../client'
import { useSessionStore } from '../session/useSessionStore'
import { usePreferencesStore } from '../settings/usePreferencesStore'
import { useToasts } from '../ui/useToasts'
import { formatBytes } from './bytes'
import { chosen, filesOf, sift, type Refusal } from './choose'
import { FILES_PER_MESSAGE, type ChosenFile } from './outgoing'

/** Files chosen for the message that is being written, kept for each conversation while the page is open. */
export const useChosenStore = defineStore('chosen', () => {
  const client = useClient()
  const session = useSessionStore()
  const preferences = usePreferencesStore()
  const toasts = useToasts()
  const { t } = useI18n()

  const chosenFiles = shallowReactive(new Map<ConversationId, readonly ChosenFile[]>())
  /** How many are being looked at; what is sent meanwhile would go without them. */
  const looking = ref(0)

  const chosenFor = (id: ConversationId) => chosenFiles.get(id) ?? []
  const largest = () => client.welcome?.limits.upload_bytes ?? session.config?.limits.upload_bytes ?? 0

  function tell(refusal: Refusal): void {
    if (refusal.why === 'tooLarge') toasts.say(t('files.tooLarge', { name: refusal.name, size: formatBytes(largest(), preferences.locale) }))
    else if (refusal.why === 'folder') toasts.say(t('files.folder', { name: refusal.name }))
    else toasts.say(t('files.tooMany', { n: FILES_PER_MESSAGE }))
  }

  async function add(id: ConversationId, files: readonly File[]): Promise<void> {
    looking.value += 1
    try {
      const { taken, refused } = sift(files, { bytes: largest(), room: FILES_PER_MESSAGE - chosenFor(id).length })
      refused.forEach(tell)
      const found = await Promise.all(taken.map(chosen))
      if (found.length) chosenFiles.set(id, [...chosenFor(id), ...found].slice(0, FILES_PER_MESSAGE))
    } finally {
      looking.value -= 1
    }
  }

  /** From a drop or the clipboard. */
  async function take(id: ConversationId, transfer: DataTransfer): Promise<void> {
    const { files, folders } = filesOf(transfer)
    for (const name of folders) tell({ why: 'folder', name })
    await add(id, files)
  }

  function remove(id: ConversationId, file: ChosenFile): void {
    chosenFiles.set(id, chosenFor(id).filter((one) => one !== file))
  }

  const clear = (id: ConversationId) => void chosenFiles.delete(id)

  watch(
    () => session.myId,
    () => chosenFiles.clear(),
  )

  return { chosenFor, looking, add, take, remove, clear }
})
