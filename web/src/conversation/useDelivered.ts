import { useClient, useClientEvent } from '../client'
import { useConversationsStore } from './useConversationsStore'

/**
 * Tells the senders that their messages have arrived on this device, also those of conversations that are not open.
 * The read position goes along unchanged; the SDK merges the calls for one conversation.
 */
export function useDelivered(): void {
  const client = useClient()
  const conversations = useConversationsStore()

  function acknowledge(id: string): void {
    const conversation = conversations.get(id)
    if (!conversation || conversation.head <= conversation.delivered_seq || conversation.head <= conversation.read_seq) return
    void client.markRead(id, conversation.read_seq, conversation.head).catch(() => {})
  }

  useClientEvent('entries', ({ conversation_id, more }) => {
    if (!more) acknowledge(conversation_id)
  })
  useClientEvent('welcome', ({ conversations: welcomed }) => {
    for (const { id, unread } of welcomed) if (unread > 0) acknowledge(id)
  })
}
