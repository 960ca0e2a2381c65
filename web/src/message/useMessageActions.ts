import type { ConversationId } from '@parley/sdk'
import { useClipboard } from '@vueuse/core'
import { useI18n } from 'vue-i18n'
import { useClient } from '../client'
import { useAssistantStore } from '../assistant/useAssistantStore'
import { useSessionStore } from '../session/useSessionStore'
import { useToasts } from '../ui/useToasts'
import type { ShownMessage } from './shown'

/** What can be done with a message. A refusal is told in a toast; the log shows what came true. */
export function useMessageActions(conversationId: ConversationId) {
  const client = useClient()
  const session = useSessionStore()
  const toasts = useToasts()
  const assistant = useAssistantStore()
  const { t } = useI18n()
  const { copy } = useClipboard({ legacy: true })

  const has = (message: ShownMessage, emoji: string) =>
    message.reactions.some((reaction) => reaction.emoji === emoji && reaction.user_ids.includes(session.myId))

  function toggleReaction(message: ShownMessage, emoji: string): void {
    if (!message.id) return
    const act = has(message, emoji) ? client.unreact : client.react
    void toasts.tell(act.call(client, conversationId, message.id, emoji))
  }

  function togglePin(message: ShownMessage): void {
    if (!message.id) return
    void toasts.tell(message.pinned ? client.unpin(conversationId, message.id) : client.pin(conversationId, message.id))
  }

  function remove(message: ShownMessage): void {
    if (message.id) void toasts.tell(client.delete(conversationId, message.id))
  }

  async function copyText(message: ShownMessage): Promise<void> {
    await copy(message.text ?? '')
    toasts.say(t('copied'))
  }

  function stop(message: ShownMessage): void {
    if (message.id) void toasts.tell(assistant.stop(conversationId, message.id))
  }

  const askAgain = (message: ShownMessage) =>
    toasts.tell((async () => assistant.askAgain(conversationId, message.text ?? '', message.replyTo))())

  const retry = (message: ShownMessage) => client.retry(message.clientId)
  const discard = (message: ShownMessage) => client.discard(message.clientId)

  return { toggleReaction, togglePin, remove, copyText, stop, askAgain, retry, discard }
}

export type MessageActions = ReturnType<typeof useMessageActions>
