/** Which files a message shows in place, and how large a picture is drawn. */
import type { Attachment } from '@parley/sdk'
import { isPicture } from './outgoing'

/** Logical pixels. */
const ALONE = { width: 380, height: 320 }
const AMONG_HEIGHT = 150
const SMALLEST = 56

export type Shape = 'picture' | 'video' | 'voice' | 'sound' | 'card'

/** How a file is shown. What is a picture only by its name, such as SVG, is a card: the server offers it to be saved. */
export function shapeOf({ type, width, waveform }: Attachment): Shape {
  if (isPicture({ type })) return width ? 'picture' : 'card'
  if (waveform?.length) return 'voice'
  if (type.startsWith('video/')) return 'video'
  return type.startsWith('audio/') ? 'sound' : 'card'
}

/** The frame of a picture, known before a byte of it is here: nothing moves when it comes. Very long ones are cut. */
export function frameOf({ width = 1, height = 1 }: Pick<Attachment, 'width' | 'height'>, alone: boolean): { width: number; height: number } {
  const scale = alone ? Math.min(1, ALONE.width / width, ALONE.height / height) : AMONG_HEIGHT / height
  const across = Math.min(ALONE.width, Math.max(SMALLEST, Math.round(width * scale)))
  const down = alone ? Math.max(SMALLEST, Math.round(height * scale)) : AMONG_HEIGHT
  return { width: across, height: down }
}
