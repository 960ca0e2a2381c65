/** From what the browser hands over to files that can be sent: how large a picture is, and what cannot be sent. */
import { isPicture, type ChosenFile } from './outgoing'

/** A picture this large is passed on by the server as plain bytes. */
const LARGEST_PICTURE = 64_000_000

/** Why something was not taken. */
export type Refusal = { why: 'tooLarge'; name: string } | { why: 'folder'; name: string } | { why: 'tooMany' }

/** Folders cannot be read as files; a drag says which ones are. */
export function filesOf(transfer: DataTransfer): { files: File[]; folders: string[] } {
  const folders = [...transfer.items].flatMap((item) => {
    const entry = item.kind === 'file' ? item.webkitGetAsEntry?.() : null
    return entry?.isDirectory ? [entry.name] : []
  })
  return { files: [...transfer.files].filter((file) => !folders.includes(file.name)), folders }
}

/** Which of these fit: by size (0: any), and by how many there is room for. */
export function sift(files: readonly File[], limits: { bytes: number; room: number }): { taken: File[]; refused: Refusal[] } {
  const refused: Refusal[] = []
  const fitting = files.filter((file) => {
    const fits = limits.bytes === 0 || file.size <= limits.bytes
    if (!fits) refused.push({ why: 'tooLarge', name: file.name })
    return fits
  })
  if (fitting.length > limits.room) refused.push({ why: 'tooMany' })
  return { taken: fitting.slice(0, limits.room), refused }
}

export async function chosen(file: File): Promise<ChosenFile> {
  const facts = { name: file.name, size: file.size, type: file.type }
  return { facts: { ...facts, ...(isPicture(file) ? await measure(file) : {}) }, bytes: file }
}

/** Nothing for what only has the name of a picture. */
async function measure(file: Blob): Promise<{ width?: number; height?: number }> {
  try {
    const bitmap = await createImageBitmap(file)
    const { width, height } = bitmap
    bitmap.close()
    return width * height > LARGEST_PICTURE ? {} : { width, height }
  } catch {
    return {}
  }
}
