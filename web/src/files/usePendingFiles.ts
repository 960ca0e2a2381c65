import type { Attachment, PendingMessage } from '@parley/sdk'
import { attachmentOf } from './outgoing'
import { useOutgoingStore } from './useOutgoingStore'

/** Between the acknowledgement of a message and its entry in the log its files are still drawn; so many are remembered for that. */
const REMEMBERED = 100

/** What this page knows of the files of messages that are not in the log yet. */
export function usePendingFiles() {
  const outgoing = useOutgoingStore()
  const remembered = new Map<string, readonly Attachment[]>()

  function of({ clientId, attachments }: PendingMessage): readonly Attachment[] {
    if (attachments.length === 0) return []
    const files = outgoing.message(clientId)?.files
    if (files?.length === attachments.length) {
      remembered.set(clientId, files.map((file, index) => attachmentOf(file, attachments[index]!)))
      if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value!)
    }
    return remembered.get(clientId) ?? []
  }

  return { of }
}
