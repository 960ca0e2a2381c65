/** UUIDv7: client ids that sort by the time they were made. */

let lastMs = 0
let counter = 0

/**
 * Ids of one page ascend strictly, also within a millisecond and when the clock is set back: the time part never goes back, and
 * 12 bits count within it. The other 62 bits are random, from the strong source where there is one.
 */
export function uuid7(now: () => number = Date.now): string {
  const ms = Math.floor(now())
  if (ms > lastMs) {
    lastMs = ms
    counter = 0
  } else if (++counter > 0xfff) {
    lastMs += 1
    counter = 0
  }
  const bytes = crypto.getRandomValues(new Uint8Array(8))
  bytes[0] = 0x80 | ((bytes[0] ?? 0) & 0x3f)
  const time = lastMs.toString(16).padStart(12, '0')
  const random = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${random.slice(0, 4)}-${random.slice(4)}`
}
