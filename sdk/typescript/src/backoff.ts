/** How long to wait before the next try: exponential with full jitter, never giving up. */
export class Backoff {
  readonly #bounds: { minMs: number; maxMs: number }
  readonly #random: () => number
  #tries = 0

  constructor(bounds: { minMs: number; maxMs: number }, random: () => number) {
    this.#bounds = bounds
    this.#random = random
  }

  /** A random part of min, 2 min, 4 min … up to max. Full jitter, so that 10,000 clients of one restarted server do not return together. */
  next(): number {
    const { minMs, maxMs } = this.#bounds
    // 2 ** 30 is past any sensible maxMs; without the bound, a night of tries would reach Infinity * 0.
    const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(this.#tries++, 30))
    return Math.floor(this.#random() * ceiling)
  }

  reset(): void {
    this.#tries = 0
  }
}
