import type { ConversationId } from '@parley/sdk'
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { useAssistantStore } from '../assistant/useAssistantStore'
import { useClient } from '../client'
import { useChosenStore } from '../files/useChosenStore'
import type { ChosenFile } from '../files/outgoing'
import { useOutgoingStore } from '../files/useOutgoingStore'
import type { ShownMessage } from '../message/shown'
import { useSessionStore } from '../session/useSessionStore'
import { useToasts } from '../ui/useToasts'
import { useDraftsStore } from './useDraftsStore'

/** What the text in the field is for. */
export type ComposerMode = { type: 'new' } | { type: 'reply' | 'edit'; message: ShownMessage }

/** From here on the field says how much room is left. */
const WARN_LEFT = 500
const DEFAULT_CHARS = 8000

/** The text being written for one conversation, and what it is for. */
export function useComposer(conversationId: ConversationId) {
  const client = useClient()
  const session = useSessionStore()
  const drafts = useDraftsStore()
  const toasts = useToasts()
  const assistant = useAssistantStore()
  const chosen = useChosenStore()
  const outgoing = useOutgoingStore()

  const text = ref(drafts.draftOf(conversationId))
  const mode = shallowRef<ComposerMode>({ type: 'new' })
  /** What was in the field before an edit took its place. */
  let aside = ''

  const limit = client.welcome?.limits.text_chars ?? session.config?.limits.text_chars ?? DEFAULT_CHARS
  /** Characters as people count them, near enough: a pair of surrogates is one. */
  const left = computed(() => (text.value.length * 2 < limit ? limit : limit - [...text.value].length))
  const warns = computed(() => left.value < WARN_LEFT)
  /** Files that go with the text; a message that is edited keeps its own. */
  const files = computed(() => (mode.value.type === 'edit' ? [] : chosen.chosenFor(conversationId)))
  const canSend = computed(() => (text.value.trim() !== '' || files.value.length > 0) && left.value >= 0 && chosen.looking === 0)

  watch(text, (now) => {
    if (mode.value.type === 'edit') return
    drafts.keep(conversationId, now)
    void client.setTyping(conversationId, now.trim() !== '')
  })
  onScopeDispose(() => {
    if (text.value.trim() && mode.value.type !== 'edit') void client.setTyping(conversationId, false)
  })

  function reply(message: ShownMessage): void {
    if (mode.value.type === 'edit') cancel()
    mode.value = { type: 'reply', message }
  }

  function edit(message: ShownMessage): void {
    if (mode.value.type !== 'edit') aside = text.value
    mode.value = { type: 'edit', message }
    text.value = message.text ?? ''
  }

  function cancel(): void {
    const wasEdit = mode.value.type === 'edit'
    mode.value = { type: 'new' }
    if (wasEdit) text.value = aside
  }

  /** True when a message went into the outbox or an edit on its way. */
  function submit(): boolean {
    if (!canSend.value) return false
    const words = text.value.trim()
    const now = mode.value
    if (now.type === 'edit') {
      cancel()
      if (words !== now.message.text) void toasts.tell(client.edit(conversationId, now.message.id!, words))
      return true
    }
    const replyTo = now.type === 'reply' ? now.message.id : null
    try {
      if (files.value.length) outgoing.send({ conversationId, text: words, replyTo, files: files.value })
      else sendWords(words, replyTo)
    } catch (error) {
      // The outbox is full: text and files stay where they are.
      void toasts.tell(Promise.reject(error))
      return false
    }
    mode.value = { type: 'new' }
    text.value = ''
    chosen.clear(conversationId)
    return true
  }

  function sendWords(words: string, replyTo: string | null): void {
    const mentions = assistant.mentionsIn(words)
    client.send({ conversationId, text: words, ...(mentions.length ? { mentions } : {}), ...(replyTo ? { replyTo } : {}) })
  }

  const attach = (found: readonly File[]) => chosen.add(conversationId, found)
  const attachFrom = (transfer: DataTransfer) => chosen.take(conversationId, transfer)
  const detach = (file: ChosenFile) => chosen.remove(conversationId, file)

  return { text, mode, left, warns, files, canSend, reply, edit, cancel, submit, attach, attachFrom, detach }
}

export type ComposerState = ReturnType<typeof useComposer>
