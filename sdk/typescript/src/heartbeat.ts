/** Finds a socket that is open and dead. Protocol pings are invisible to a browser, so it asks with its own `ping`. */

/** An answer to a question out of turn (`probe`) must come within this. */
export const PROBE_MS = 5000

export interface HeartbeatOptions {
  ping: () => void
  dead: () => void
}

export class Heartbeat {
  readonly #options: HeartbeatOptions
  #timer: ReturnType<typeof setTimeout> | undefined
  #probe: ReturnType<typeof setTimeout> | undefined
  /** Half beats in a row in which nothing was heard. */
  #silent = 0

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /**
   * Ask after a beat of silence at the most, give up a whole beat later: two beats at the most after the last sign of life.
   * Ticks are counted rather than clocks read, so that a computer that slept wakes up with the question and not with the verdict.
   */
  start(seconds: number): void {
    this.stop()
    const halfMs = (seconds * 1000) / 2
    const tick = () => {
      this.#timer = setTimeout(tick, halfMs)
      this.#silent += 1
      if (this.#silent === 2) this.#options.ping()
      if (this.#silent >= 4) this.#die()
    }
    this.#silent = 0
    this.#timer = setTimeout(tick, halfMs)
  }

  /** Anything at all came in. */
  heard(): void {
    this.#silent = 0
    clearTimeout(this.#probe)
    this.#probe = undefined
  }

  /** Ask now, because something suggests that the socket may be dead. */
  probe(): void {
    if (this.#timer === undefined || this.#probe !== undefined) return
    this.#probe = setTimeout(() => this.#die(), PROBE_MS)
    this.#options.ping()
  }

  stop(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#probe)
    this.#timer = this.#probe = undefined
  }

  #die(): void {
    this.stop()
    this.#options.dead()
  }
}
