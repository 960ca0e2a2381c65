import { defineStore } from 'pinia'
import { ref } from 'vue'

export interface Toast {
  id: number
  /** A sentence in the reader's language, or an error to be put into one. */
  text?: string
  error?: unknown
}

const STAYS_MS = 6000

/** Short words about something that happened away from where one looks. */
export const useToasts = defineStore('toasts', () => {
  const toasts = ref<Toast[]>([])
  let next = 1

  function add(toast: Omit<Toast, 'id'>): void {
    const id = next++
    toasts.value = [...toasts.value.slice(-2), { id, ...toast }]
    setTimeout(() => dismiss(id), STAYS_MS)
  }

  function dismiss(id: number): void {
    toasts.value = toasts.value.filter((toast) => toast.id !== id)
  }

  /** Runs it and says so if it fails. */
  async function tell(work: Promise<unknown>): Promise<void> {
    try {
      await work
    } catch (error) {
      add({ error })
    }
  }

  return { toasts, say: (text: string) => add({ text }), tell, dismiss }
})
