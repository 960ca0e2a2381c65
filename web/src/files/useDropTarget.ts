import { useEventListener } from '@vueuse/core'
import { ref, type Ref } from 'vue'

const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false

/** True while files are held over the element; `dropped` gets them. Elsewhere on the page a dropped file does nothing, rather than replace the page. */
export function useDropTarget(target: Ref<HTMLElement | null>, dropped: (transfer: DataTransfer) => void) {
  const over = ref(false)
  /** Each child that is entered tells so before the one that is left. */
  let depth = 0

  function end(): void {
    depth = 0
    over.value = false
  }

  useEventListener(target, 'dragenter', (event) => {
    if (!hasFiles(event)) return
    depth += 1
    over.value = true
  })
  useEventListener(target, 'dragleave', (event) => {
    if (hasFiles(event) && --depth <= 0) end()
  })
  useEventListener(target, 'drop', (event) => {
    end()
    if (hasFiles(event)) dropped(event.dataTransfer!)
  })
  useEventListener(window, 'dragover', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    const inside = event.target instanceof Node && target.value?.contains(event.target)
    event.dataTransfer!.dropEffect = inside ? 'copy' : 'none'
  })
  useEventListener(window, 'drop', (event) => hasFiles(event) && event.preventDefault())

  return { over }
}
