import { ParleyError } from './errors.js'

/** Resolves after `ms`; rejects with `aborted` as soon as the signal says so. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(ParleyError.local('aborted'))
    const aborted = () => {
      clearTimeout(timer)
      reject(ParleyError.local('aborted'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    }, ms)
    signal?.addEventListener('abort', aborted, { once: true })
  })
}
