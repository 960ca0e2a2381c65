import type { Conversation } from '@parley/sdk'
import { useI18n } from 'vue-i18n'
import type { IconName } from '../ui/icons'

type Named = Pick<Conversation, 'name' | 'title' | 'peer' | 'kind'>

/** What a conversation is called, and how it is drawn. */
export function useConversationName() {
  const { t } = useI18n()

  function nameOf(conversation: Named): string {
    if (conversation.kind === 'direct') return conversation.peer?.display_name || conversation.peer?.username || '…'
    if (conversation.title) return conversation.title
    if (conversation.name === 'lobby') return t('conversation.lobby')
    return conversation.name ?? t(conversation.kind === 'group' ? 'conversation.kindGroup' : 'conversation.kindRoom')
  }

  /** Nothing for a direct message: that shows the person. */
  function iconOf(conversation: Named): IconName | undefined {
    if (conversation.kind === 'direct') return undefined
    if (conversation.kind === 'group') return 'users'
    return conversation.name === 'lobby' ? 'lobby' : 'hash'
  }

  return { nameOf, iconOf }
}
