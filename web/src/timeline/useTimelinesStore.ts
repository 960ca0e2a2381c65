import type { ConversationId, Timeline } from '@parley/sdk'
import { defineStore } from 'pinia'
import { markRaw } from 'vue'
import { useClient } from '../client'

/** How many conversations stay loaded, so that going back and forth is instant. */
const KEPT = 8
/** Messages kept of one that is left. */
const KEPT_MESSAGES = 100

/** The loaded conversations, the one used last at the end. */
export const useTimelinesStore = defineStore('timelines', () => {
  const client = useClient()
  const open = new Map<ConversationId, Timeline>()

  /** The timeline of a conversation, loading or loaded. It follows the log until it is pushed out by others. */
  function enter(id: ConversationId): Timeline {
    const timeline = open.get(id) ?? markRaw(client.timeline(id))
    open.delete(id)
    open.set(id, timeline)
    if (timeline.status === 'idle' || timeline.status === 'failed' || timeline.status === 'removed') void timeline.open()
    for (const [oldest, old] of open) {
      if (open.size <= KEPT) break
      old.close()
      open.delete(oldest)
    }
    return timeline
  }

  function leave(id: ConversationId): void {
    open.get(id)?.trim(KEPT_MESSAGES)
  }

  function clear(): void {
    for (const timeline of open.values()) timeline.close()
    open.clear()
  }

  return { enter, leave, clear }
})
