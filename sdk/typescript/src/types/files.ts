/** Files in messages and on their way. */
import type { ConversationId, UserId } from './basics.js'

/** A file as its message carries it, for ever. */
export interface Attachment {
  id: string
  name: string
  size: number
  /** Found in the bytes by the server, e.g. `image/png`. */
  type: string
  /** As it is shown, turned. */
  width?: number
  height?: number
  duration_ms?: number
  /** Of a recording: at most 64 levels from 0 to 100. */
  waveform?: number[]
}

/** Signed links, good without a session until `until`, in seconds since 1970. */
export interface FileLink {
  url: string
  /** Null where there is no thumbnail. */
  thumbnail_url: string | null
  until: number
}

/** Somebody is sending a file, said at most twice a second. Like `typing` it may be lost: drop what has not moved for half a minute. */
export interface UploadProgress {
  conversation_id: ConversationId
  /** Also the id of the file that it becomes. */
  upload_id: string
  user_id: UserId
  name: string
  size: number
  offset: number
  /** All of it is here; its message is on its way. */
  done?: true
  /** It was given up. */
  cancelled?: true
  /** The first one past each quarter. */
  quarter?: true
}

/** What is known of a file before it is sent. */
export interface UploadAbout {
  name: string
  /** Whose members are told of the progress. */
  conversationId?: ConversationId
  /** Of a recording that does not say so itself. */
  durationMs?: number
  /** Of a recording: at most 64 levels from 0 to 100. */
  waveform?: readonly number[]
}

/** What a tus 1.0 client is to be told: `new tus.Upload(file, { ...target, … })`. */
export interface UploadTarget {
  endpoint: string
  metadata: Record<string, string>
  /** Empty when the session is a cookie. A token lives for minutes: ask again before each request that may come later. */
  headers: Record<string, string>
}
