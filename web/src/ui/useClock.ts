import { useIntervalFn } from '@vueuse/core'
import { shallowRef } from 'vue'

/** The time, told anew every so often. */
export function useClock(everyMs: number) {
  const now = shallowRef(new Date())
  useIntervalFn(() => (now.value = new Date()), everyMs)
  return now
}
