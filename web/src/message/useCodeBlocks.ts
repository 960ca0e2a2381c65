import { useClipboard } from '@vueuse/core'
import { onMounted, watch, type Ref, type WatchSource } from 'vue'
import { useI18n } from 'vue-i18n'

const COPIED_MS = 1500

/** Blocks of code in a rendered text: their colours, and a button that copies them. The `changes` are looked at after they are drawn. */
export function useCodeBlocks(root: Readonly<Ref<HTMLElement | null>>, changes: WatchSource, selector = 'pre'): void {
  const { t } = useI18n()
  const { copy } = useClipboard({ legacy: true })

  /** The highlighter is a large piece of script that most conversations never need. */
  async function highlight(blocks: readonly HTMLElement[]): Promise<void> {
    const plain = blocks.flatMap((block) => [...block.querySelectorAll<HTMLElement>('code[class*="language-"]:not([data-done])')])
    if (plain.length === 0) return
    const { highlightBlock } = await import('./highlight')
    plain.forEach(highlightBlock)
  }

  /** Made by hand, for the blocks themselves are text that was made into HTML. */
  function addButton(block: HTMLElement): void {
    if (block.parentElement?.classList.contains('code')) return
    const box = document.createElement('div')
    box.className = 'code'
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'code-copy'
    button.dataset.testid = 'code-copy'
    button.textContent = t('copy')
    button.setAttribute('aria-label', t('message.copyCode'))
    button.addEventListener('click', async () => {
      await copy((block.textContent ?? '').replace(/\n$/, ''))
      button.textContent = t('copied')
      setTimeout(() => (button.textContent = t('copy')), COPIED_MS)
    })
    block.replaceWith(box)
    box.append(block, button)
  }

  function look(): void {
    const blocks = [...(root.value?.querySelectorAll<HTMLElement>(selector) ?? [])]
    blocks.forEach(addButton)
    void highlight(blocks)
  }

  onMounted(look)
  watch(changes, look, { flush: 'post' })
}
