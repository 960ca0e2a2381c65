/**
 * Takes a name for this tab alone and resolves when it has it; it is held until `signal` aborts. Rejects if that comes first.
 * Without locks (no secure context) it is taken at once: the server then sorts out two writers.
 */
export async function alone(name: string, signal: AbortSignal): Promise<void> {
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks
  if (!locks) return signal.throwIfAborted()
  await new Promise<void>((taken, refused) => {
    const held = () =>
      new Promise<void>((free) => {
        signal.addEventListener('abort', () => free(), { once: true })
        if (signal.aborted) free()
        taken()
      })
    locks.request(name, { signal }, held).catch(refused)
  })
}
