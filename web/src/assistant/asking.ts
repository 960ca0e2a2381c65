/** How one addresses the assistant in any conversation. */
export const ADDRESS = '@ai'

const ADDRESSED = /(?:^|\s)@ai(?![\p{L}\p{N}_-])/iu

/** Whether a text speaks to the assistant, at its beginning or later. */
export function addresses(text: string): boolean {
  return ADDRESSED.test(text)
}

/** What of the address stands before the caret: where it begins, or null when something else is being written. */
export function addressBegun(text: string, caret: number): number | null {
  const found = /(?:^|\s)(@a?i?)$/i.exec(text.slice(0, caret))
  if (!found || found[1]!.length > ADDRESS.length) return null
  if (!ADDRESS.startsWith(found[1]!.toLowerCase())) return null
  // In the middle of a word, such as a name that begins so, nothing is offered.
  return /^[\p{L}\p{N}_-]/u.test(text.slice(caret)) ? null : caret - found[1]!.length
}
