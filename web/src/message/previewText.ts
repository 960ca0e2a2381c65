import type { Attachment } from '@parley/sdk'
import { plainText } from './plainText'

/** One line that stands for a message: its words, or the names of its files. */
export function previewText({ text, attachments }: { text: string | null; attachments?: readonly Attachment[] }): string {
  return plainText(text ?? '') || (attachments ?? []).map(({ name }) => name).join(', ')
}
