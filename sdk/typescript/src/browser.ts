/** What a browser knows about the network and the reader, and a server-side runtime does not. */
import type { Unsubscribe } from './types.js'

export interface BrowserHints {
  /** The network is there, or somebody looks at the page: do not sit out a countdown. */
  wake: () => void
  /** The network may be gone. It is only a hint: a server on this machine can still be reached. */
  doubt: () => void
}

/** The part of `window` that is used; its absence means that there is no browser. */
interface Page extends EventTarget {
  document?: EventTarget & { visibilityState: string }
}

export function listenToTheBrowser({ wake, doubt }: BrowserHints): Unsubscribe {
  const page = globalThis as unknown as Partial<Page>
  if (typeof page.addEventListener !== 'function') return () => {}
  const shown = () => {
    // Timers of a hidden page are slowed to one a minute, and a laptop that slept has a socket that is dead and does not know.
    if (page.document?.visibilityState === 'visible') wake()
  }
  page.addEventListener('online', wake)
  page.addEventListener('offline', doubt)
  page.document?.addEventListener('visibilitychange', shown)
  return () => {
    page.removeEventListener?.('online', wake)
    page.removeEventListener?.('offline', doubt)
    page.document?.removeEventListener('visibilitychange', shown)
  }
}
