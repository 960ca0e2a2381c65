import type { ConversationId } from '@parley/sdk'
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { useClientEvent } from '../client'
import { useConversationsStore } from '../conversation/useConversationsStore'
import { usePendingFiles } from '../files/usePendingFiles'
import { shownPending, shownStored, type ShownMessage } from '../message/shown'
import { useSessionStore } from '../session/useSessionStore'
import { toLines, type Happening } from './lines'
import { useMarksStore } from './useMarksStore'
import { useTimelinesStore } from './useTimelinesStore'

/** In larger conversations the server does not tell who has read. */
const MARKS_UP_TO = 200
/** With more unread than this, the reader starts at what is loaded rather than waiting for all of it. */
const LOAD_UNREAD_UP_TO = 400
/** How many pages of the server's longest to go back for the original of a reply. */
const JUMP_PAGES = 10

/** One conversation as lines to show, for as long as the calling component lives. */
export function useTimeline(id: ConversationId) {
  const session = useSessionStore()
  const conversations = useConversationsStore()
  const marks = useMarksStore()
  const timelines = useTimelinesStore()
  const pendingFiles = usePendingFiles()
  const timeline = timelines.enter(id)

  const items = shallowRef(timeline.items)
  const status = ref(timeline.status)
  const hasOlder = ref(timeline.hasOlder)
  const loadingOlder = ref(timeline.loadingOlder)
  const error = shallowRef(timeline.error)
  /** True once there is something to show at the right place. */
  const ready = ref(false)

  const unreadAfter = ref<number | null>(null)

  function look(): void {
    items.value = timeline.items
    status.value = timeline.status
    hasOlder.value = timeline.hasOlder
    loadingOlder.value = timeline.loadingOlder
    error.value = timeline.error
  }
  onScopeDispose(timeline.subscribe(look))
  onScopeDispose(() => timelines.leave(id))

  const happenings = computed<Happening[]>(() => {
    const others = marks.of(id)
    return items.value.map((item) => {
      if (item.type === 'event') return { entry: item.entry }
      const message =
        item.type === 'pending'
          ? shownPending(item.pending, session.myId, pendingFiles.of(item.pending))
          : shownStored(item.message, item.key, session.myId, others)
      return { message }
    })
  })
  const messages = computed(() => happenings.value.flatMap(({ message }) => (message ? [message] : [])))
  const byId = computed(() => {
    const map = new Map<string, ShownMessage>()
    for (const message of messages.value) if (message.id) map.set(message.id, message)
    return map
  })
  const lines = computed(() => toLines(happenings.value, unreadAfter.value))

  function learnMarks(): void {
    const state = timeline.state
    if (!state || state.conversation.member_count > MARKS_UP_TO) return
    void marks.learn(id, state.messages).catch(() => {})
  }

  async function arrive(): Promise<void> {
    const conversation = conversations.get(id) ?? timeline.state?.conversation
    if (conversation && conversation.unread > 0) {
      unreadAfter.value = conversation.read_seq
      if (conversation.unread <= LOAD_UNREAD_UP_TO) await timeline.loadTo(conversation.read_seq + 1)
    }
    ready.value = true
    learnMarks()
  }
  watch(
    status,
    (now) => {
      if (now === 'ready' && !ready.value) void arrive()
    },
    { immediate: true },
  )
  // Marks are not history: what was read while the connection was away is asked for.
  useClientEvent('welcome', () => {
    if (ready.value) learnMarks()
  })

  /** Goes back until the message is loaded. False when it cannot be found. */
  async function find(messageId: string): Promise<boolean> {
    for (let page = 0; !byId.value.has(messageId) && page < JUMP_PAGES; page++) {
      if (!(await timeline.loadOlder(200))) return false
    }
    return byId.value.has(messageId)
  }

  return {
    lines,
    messages,
    byId,
    status,
    ready,
    error,
    hasOlder,
    loadingOlder,
    unreadAfter,
    loadOlder: () => timeline.loadOlder(),
    reload: () => timeline.open(),
    trim: (keep: number) => timeline.trim(keep),
    headSeq: () => timeline.headSeq,
    find,
  }
}

export type TimelineView = ReturnType<typeof useTimeline>
