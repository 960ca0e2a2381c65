import { ref } from 'vue'

/** Something that takes a while and may fail: whether it runs, and why it last failed. */
export function useAction<A extends unknown[]>(act: (...args: A) => Promise<void>) {
  const busy = ref(false)
  const error = ref<unknown>(null)

  /** True when it went through. While it runs, a second call does nothing. */
  async function run(...args: A): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    error.value = null
    try {
      await act(...args)
      return true
    } catch (thrown) {
      error.value = thrown
      return false
    } finally {
      busy.value = false
    }
  }

  return { busy, error, run }
}
