import { useEventListener, useResizeObserver } from '@vueuse/core'
import { ref, watch, type Ref, type WatchSource } from 'vue'

/** This near the end counts as being there. */
const END_PX = 48

/**
 * Keeps the reader's place. At the end one stays at the end; elsewhere the topmost visible row stays where it is,
 * whatever is put above it or changes its height. Rows carry `data-key`.
 */
export function useScrollKeeper(scroller: Ref<HTMLElement | null>, content: Ref<HTMLElement | null>, changes: WatchSource[]) {
  const atEnd = ref(true)
  /** Where it was when last looked at. */
  let top = 0
  let anchor: { key: string; top: number } | null = null

  const rows = () => [...(content.value?.querySelectorAll<HTMLElement>('[data-key]') ?? [])]

  /** The first row that reaches below the upper edge, found by halving: rows stand in order. */
  function topRow(): HTMLElement | undefined {
    const all = rows()
    const edge = scroller.value!.getBoundingClientRect().top
    let low = 0
    let high = all.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (all[middle]!.getBoundingClientRect().bottom > edge) high = middle
      else low = middle + 1
    }
    return all[low]
  }

  function remember(): void {
    const box = scroller.value
    if (!box) return
    top = box.scrollTop
    atEnd.value = box.scrollHeight - box.scrollTop - box.clientHeight < END_PX
    const row = topRow()
    anchor = row ? { key: row.dataset.key!, top: row.getBoundingClientRect().top } : null
  }

  function restore(): void {
    const box = scroller.value
    if (!box) return
    // The reader has gone up, and the event that says so is still to come: an answer that grows must not pull them back.
    if (atEnd.value && box.scrollTop < top - 1) remember()
    if (atEnd.value) {
      box.scrollTop = box.scrollHeight
      top = box.scrollTop
      return
    }
    if (!anchor) return
    const row = content.value?.querySelector<HTMLElement>(`[data-key="${CSS.escape(anchor.key)}"]`)
    if (row) box.scrollTop += row.getBoundingClientRect().top - anchor.top
  }

  function toEnd(): void {
    const box = scroller.value
    if (!box) return
    atEnd.value = true
    box.scrollTop = box.scrollHeight
    top = box.scrollTop
  }

  /** Brings a row into view, `share` of the height below the upper edge. */
  function toRow(key: string, share = 0.3): HTMLElement | null {
    const box = scroller.value
    const row = content.value?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)
    if (!box || !row) return null
    const offset = row.getBoundingClientRect().top - box.getBoundingClientRect().top
    box.scrollTop += offset - box.clientHeight * share
    remember()
    return row
  }

  /** The lowest row with a seq of which at least the beginning is on the screen. */
  function lowestSeen(): HTMLElement | undefined {
    const edge = scroller.value?.getBoundingClientRect().bottom ?? 0
    return rows().findLast((row) => row.dataset.seq && row.getBoundingClientRect().top < edge - 8)
  }

  useEventListener(scroller, 'scroll', remember, { passive: true })
  watch(changes, restore, { flush: 'post' })
  useResizeObserver([scroller, content], restore)

  return { atEnd, toEnd, toRow, remember, lowestSeen }
}
