/** Files in messages and on their way. */

export interface Attachment {
  id: string
  name: string
  size: number
  type: string
  width?: number
  height?: number
  duration_ms?: number
}
