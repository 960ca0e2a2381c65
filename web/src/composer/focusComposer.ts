/** Puts the caret where one writes. Not on a phone, whose keyboard would cover what one came to read. */
export function focusComposer(): void {
  if (matchMedia('(pointer: coarse)').matches) return
  document.getElementById('composer')?.focus()
}
