import type { ConversationId } from '@parley/sdk'
import { useDocumentVisibility, useThrottleFn, useWindowFocus } from '@vueuse/core'
import { computed, watch } from 'vue'
import { useConversationsStore } from '../conversation/useConversationsStore'
import type { TimelineView } from './useTimeline'

interface Screen {
  atEnd: () => boolean
  lowestSeen: () => HTMLElement | undefined
}

/** Marks as read what has been on the screen while somebody was in front of it. */
export function useReadMarks(id: ConversationId, timeline: TimelineView, screen: Screen) {
  const conversations = useConversationsStore()
  const focused = useWindowFocus()
  const visibility = useDocumentVisibility()
  const attentive = computed(() => focused.value && visibility.value === 'visible')

  function markNow(): void {
    if (!attentive.value || !timeline.ready.value) return
    const last = timeline.messages.value.findLast((message) => message.seq !== null)
    if (!last) return
    if (screen.atEnd()) {
      conversations.markRead(id, Math.max(timeline.headSeq(), last.seq!), last.ordinal!)
      return
    }
    const seq = Number(screen.lowestSeen()?.dataset.seq)
    const seen = timeline.messages.value.find((message) => message.seq === seq)
    if (seen) conversations.markRead(id, seen.seq!, seen.ordinal!)
  }
  const mark = useThrottleFn(markNow, 250, true)

  // What comes while nobody looks gets a line before it.
  watch(
    () => conversations.get(id)?.unread ?? 0,
    (unread, before) => {
      if (unread > 0 && before === 0 && !attentive.value) timeline.unreadAfter.value = conversations.get(id)!.read_seq
    },
    { flush: 'sync' },
  )
  watch([attentive, timeline.lines], () => void mark(), { flush: 'post' })

  return { mark }
}
