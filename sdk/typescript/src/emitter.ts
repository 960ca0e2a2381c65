/** Typed events. */
import type { EventMap, EventName, Listener, Unsubscribe } from './types.js'

export class Emitter {
  readonly #listeners = new Map<EventName, Set<Listener<never>>>()

  on<E extends EventName>(event: E, listener: Listener<E>): Unsubscribe {
    const all = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, all)
    // A wrapper of its own, so that the same function given twice is called twice and ended one at a time.
    const own: Listener<E> = (value) => listener(value)
    all.add(own)
    return () => void all.delete(own)
  }

  /** In the order of subscription. Who is added meanwhile hears the next one; who is removed hears nothing more. */
  emit<E extends EventName>(event: E, value: EventMap[E]): void {
    const all = this.#listeners.get(event)
    if (!all) return
    for (const listener of [...all]) {
      if (!all.has(listener)) continue
      try {
        ;(listener as Listener<E>)(value)
      } catch (thrown) {
        report(thrown)
      }
    }
  }
}

/** A listener's own mistake: seen by the page's error reporting, and no reason to stop reading the socket. */
export function report(thrown: unknown): void {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(thrown)
  else console.error(thrown)
}
