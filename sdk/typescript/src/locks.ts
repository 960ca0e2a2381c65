/** One tab at a time, where the browser can promise it. */

interface Locks {
  request<T>(name: string, options: { signal: AbortSignal }, work: () => Promise<T>): Promise<T>
}

/**
 * Run `work` while no other tab of this origin runs work of the same name. Web Locks exist only in a secure context: over plain HTTP
 * there is no lock, and the work must be harmless when done twice.
 */
export function exclusively<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const { locks } = (globalThis.navigator ?? {}) as { locks?: Locks }
  return locks ? locks.request(name, { signal }, work) : work()
}
