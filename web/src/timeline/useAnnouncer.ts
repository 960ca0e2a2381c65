import type { ConversationId } from '@parley/sdk'
import { useDebounceFn } from '@vueuse/core'
import { ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { useClientEvent } from '../client'
import { plainText } from '../message/plainText'
import { previewText } from '../message/previewText'
import { usePeopleStore } from '../people/usePeopleStore'
import { useSessionStore } from '../session/useSessionStore'

const BATCH_MS = 1200
const READ_OUT = 3
const ANSWER_CHARS = 4000

/** New messages of the open conversation, in batches, for a polite live region. */
export function useAnnouncer(id: ConversationId) {
  const { t } = useI18n()
  const people = usePeopleStore()
  const session = useSessionStore()
  const words = ref('')
  let waiting: string[] = []

  const speak = useDebounceFn(
    () => {
      words.value = waiting.length > READ_OUT ? t('timeline.newBelow', { n: waiting.length }, waiting.length) : waiting.join('\n')
      waiting = []
    },
    BATCH_MS,
    { maxWait: 3 * BATCH_MS },
  )

  useClientEvent('entries', ({ conversation_id, entries }) => {
    if (conversation_id !== id) return
    for (const entry of entries) {
      // An answer of the assistant is read out once, at its end, and whole.
      if (entry.kind === 'message.completed' && entry.text) {
        const text = plainText(entry.text, ANSWER_CHARS)
        const end = entry.status === 'done' ? '' : ` ${t(`assistant.${entry.status}`)}`
        waiting.push(t('timeline.announce', { name: people.nameOf(entry.by), text }) + end)
        continue
      }
      if (entry.kind !== 'message.created' || entry.by === session.myId || entry.message.status === 'streaming') continue
      waiting.push(t('timeline.announce', { name: people.nameOf(entry.by), text: previewText(entry.message) }))
    }
    if (waiting.length) void speak()
  })

  return { words }
}
