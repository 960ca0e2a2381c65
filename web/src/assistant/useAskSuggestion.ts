import { useEventListener } from '@vueuse/core'
import { computed, nextTick, ref, watch, type Ref } from 'vue'
import { ADDRESS, addressBegun } from './asking'
import { useAssistantStore } from './useAssistantStore'

/** Offers the assistant's address while its beginning is being typed, where there is an assistant. */
export function useAskSuggestion(text: Ref<string>, field: Readonly<Ref<HTMLTextAreaElement | null>>) {
  const store = useAssistantStore()
  const caret = ref(0)
  /** What was in the field when the offer was declined. */
  const declined = ref<string | null>(null)

  const look = () => (caret.value = field.value?.selectionStart ?? 0)
  useEventListener(field, ['input', 'keyup', 'click'], look)
  watch(text, () => void nextTick(look))

  const start = computed(() => (store.assistant && declined.value !== text.value ? addressBegun(text.value, caret.value) : null))
  const offered = computed(() => (start.value === null ? null : store.assistant))

  function accept(): void {
    if (start.value === null) return
    const before = text.value.slice(0, start.value) + ADDRESS + ' '
    text.value = before + text.value.slice(caret.value).trimStart()
    void nextTick(() => {
      field.value?.focus()
      field.value?.setSelectionRange(before.length, before.length)
      look()
    })
  }

  /** True when the key was for the offer. */
  function onKeydown(event: KeyboardEvent): boolean {
    if (!offered.value) return false
    const accepts = (event.key === 'Enter' || event.key === 'Tab') && !event.shiftKey
    if (accepts) accept()
    else if (event.key === 'Escape') declined.value = text.value
    else return false
    event.preventDefault()
    event.stopPropagation()
    return true
  }

  return { offered, accept, onKeydown }
}
