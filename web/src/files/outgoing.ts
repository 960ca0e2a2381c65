import type { Attachment, ConversationId, MessageId, MessageKind, ParleyError } from '@parley/sdk'

/**
 * How a file on its way stands. `waiting`: for its turn, or for the connection. `missing`: the page was loaded anew and has no bytes;
 * it must be chosen again.
 */
export type FileState = 'waiting' | 'sending' | 'paused' | 'failed' | 'missing' | 'done'

/** What is known of a file before the server has seen it. */
export interface FileFacts {
  readonly name: string
  readonly size: number
  /** By the browser's guess; the server looks at the bytes. */
  readonly type: string
  /** Of a picture that this browser can show. */
  readonly width?: number
  readonly height?: number
  /** Of a recording. */
  readonly durationMs?: number
  readonly waveform?: readonly number[]
}

/** One file of a message. Reactive: what shows it follows by itself. */
export interface OutgoingFile extends FileFacts {
  readonly key: string
  /** An address of this page's own for a picture or a recording; null while there are no bytes. */
  preview: string | null
  state: FileState
  /** Bytes. */
  sent: number
  /** Why it failed; or, while waiting, why the last attempt did not succeed. */
  error: ParleyError | null
}

/** A message that waits for its files. A new object whenever anything but the files' own progress changes. */
export interface FileMessage {
  readonly clientId: string
  readonly conversationId: ConversationId
  readonly kind: MessageKind
  readonly text: string
  readonly replyTo: MessageId | null
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly files: readonly OutgoingFile[]
}

/** A file as it was chosen or recorded, not sent yet. */
export interface ChosenFile {
  readonly facts: FileFacts
  readonly bytes: Blob
}

/** What the server takes in one message. */
export const FILES_PER_MESSAGE = 10

/** Pictures that every browser of today shows, and the server makes thumbnails of. */
const PICTURES = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp', 'image/avif', 'image/bmp'])

export const isPicture = ({ type }: { type: string }) => PICTURES.has(type)

/** The kind of a message with these files. A picture that this browser could not read may be none: it goes as a plain file. */
export function kindOf(files: readonly FileFacts[]): MessageKind {
  if (files.length === 1 && files[0]!.waveform) return 'voice'
  return files.every((file) => isPicture(file) && file.width !== undefined) ? 'image' : 'file'
}

/** As the message will carry it, as far as this page knows. */
export function attachmentOf({ name, size, type, width, height, durationMs, waveform }: FileFacts, id: string): Attachment {
  return {
    id,
    name,
    size,
    type,
    ...(width === undefined || height === undefined ? {} : { width, height }),
    ...(durationMs === undefined ? {} : { duration_ms: durationMs }),
    ...(waveform === undefined ? {} : { waveform: [...waveform] }),
  }
}
