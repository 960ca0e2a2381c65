import { computed, nextTick, ref } from 'vue'

interface Options {
  keys: () => readonly string[]
  /** Where the tab key lands when nothing in the list has had the focus yet. */
  preferred?: () => string | null
}

/**
 * One tab stop for a whole list, arrow keys inside. The list's element gets `onKeydown` and `onFocusin`,
 * each entry `data-roving` with its key and the `tabindex` told here.
 */
export function useRovingFocus({ keys, preferred }: Options) {
  const current = ref<string | null>(null)

  /** Found once for the whole list: each entry asks for it. */
  const stop = computed(() => {
    const all = keys()
    for (const key of [current.value, preferred?.() ?? null]) if (key !== null && all.includes(key)) return key
    return all[0] ?? null
  })

  const tabindexOf = (key: string): 0 | -1 => (key === stop.value ? 0 : -1)

  async function focus(list: HTMLElement, key: string): Promise<void> {
    current.value = key
    await nextTick()
    const entry = list.querySelector<HTMLElement>(`[data-roving="${CSS.escape(key)}"]`)
    entry?.focus()
    entry?.scrollIntoView({ block: 'nearest' })
  }

  function onKeydown(event: KeyboardEvent): void {
    const entry = (event.target as HTMLElement).closest<HTMLElement>('[data-roving]')
    // Arrow keys inside a field or a menu of an entry are not for the list.
    if (!entry || entry !== event.target || event.altKey || event.ctrlKey || event.metaKey) return
    const all = keys()
    const at = all.indexOf(entry.dataset.roving!)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    const key = all[to]
    if (key !== undefined) void focus(event.currentTarget as HTMLElement, key)
  }

  function onFocusin(event: FocusEvent): void {
    const entry = (event.target as HTMLElement).closest<HTMLElement>('[data-roving]')
    if (entry) current.value = entry.dataset.roving!
  }

  return { current, tabindexOf, onKeydown, onFocusin, focus }
}
