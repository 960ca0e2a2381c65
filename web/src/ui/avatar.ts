/** Hues that stay apart from each other and from the red of an error. */
const HUES = [172, 200, 225, 255, 285, 315, 345, 25, 45, 85, 130, 150]

/** A colour that is the same for one id on every screen, for ever. Ids are counted up, so the next account gets another colour. */
export function hueOf(id: string): number {
  const number = Number(id.match(/\d{1,9}$/)?.[0] ?? id.length)
  // Five steps at a time through twelve hues: neighbours differ clearly. Conversations begin elsewhere than people.
  const start = /^\d/.test(id) ? 0 : 7
  return HUES[(number * 5 + start) % HUES.length]!
}

/** One character of a Chinese, Japanese or Korean name, the first letters of two words of any other. */
export function initialsOf(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean)
  const first = [...(words[0] ?? '?')][0] ?? '?'
  if (/[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/.test(first)) return first
  const second = words.length > 1 ? ([...words[words.length - 1]!][0] ?? '') : ''
  return (first + second).toUpperCase()
}
