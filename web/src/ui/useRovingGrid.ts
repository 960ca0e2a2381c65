/** Arrow keys inside a grid of buttons that is one tab stop. */
export function useRovingGrid(columns: number) {
  function onKeydown(event: KeyboardEvent): void {
    const buttons = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('button')]
    const at = buttons.indexOf(event.target as HTMLElement)
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key]
    const next = by === undefined || at < 0 ? undefined : buttons[at + by]
    if (!next) return
    event.preventDefault()
    next.focus()
  }

  return { onKeydown }
}
