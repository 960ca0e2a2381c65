/** Hues that stay apart from each other and from the red of an error. */
const HUES = [172, 200, 225, 255, 285, 315, 345, 25, 45, 85, 130, 150]

/** A colour that is the same for one id on every screen, for ever. */
export function hueOf(id: string): number {
  let hash = 0
  for (const char of id) hash = (Math.imul(hash, 31) + char.codePointAt(0)!) >>> 0
  // Multiplied by a large odd number, so that neighbouring ids do not get neighbouring colours.
  return HUES[(Math.imul(hash, 2654435761) >>> 8) % HUES.length]!
}

/** One character of a Chinese, Japanese or Korean name, the first letters of two words of any other. */
export function initialsOf(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean)
  const first = [...(words[0] ?? '?')][0] ?? '?'
  if (/[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/.test(first)) return first
  const second = words.length > 1 ? ([...words[words.length - 1]!][0] ?? '') : ''
  return (first + second).toUpperCase()
}
