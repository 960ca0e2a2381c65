import type { Conversation, ConversationId, NewConversation, UserId } from '@parley/sdk'
import { useRouter } from 'vue-router'
import { useClient } from '../client'
import { usePeopleStore } from '../people/usePeopleStore'
import { toConversation } from '../router'
import { useConversationsStore } from './useConversationsStore'

/** Ways into a conversation that is not in the list yet. */
export function useOpenConversation() {
  const client = useClient()
  const router = useRouter()
  const conversations = useConversationsStore()
  const people = usePeopleStore()

  async function enter(conversation: Conversation): Promise<void> {
    people.know(conversation.peer)
    // The event may have come first, with entries after it.
    if (!conversations.get(conversation.id)) conversations.put(conversation)
    await router.push(toConversation(conversation.id))
  }

  async function create(what: NewConversation): Promise<void> {
    await enter(await client.api.conversations.create(what))
  }

  async function writeTo(userId: UserId): Promise<void> {
    const known = [...conversations.all.values()].find((one) => one.peer?.id === userId)
    if (known) await router.push(toConversation(known.id))
    else await create({ kind: 'direct', user_id: userId })
  }

  async function join(id: ConversationId): Promise<void> {
    await client.join(id)
    await enter(await client.api.conversations.get(id))
  }

  return { create, writeTo, join }
}
