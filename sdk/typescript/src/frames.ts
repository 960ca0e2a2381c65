/** Text frames of the native protocol. */

export interface Frame {
  type: string
  /** The client's own, on commands and their answers. */
  id?: string
  payload: Record<string, unknown>
}

export function encode(frame: Frame): string {
  return JSON.stringify(frame)
}

/** Null for anything that is not a frame. `pong` and its like come without a payload. */
export function decode(data: unknown): Frame | null {
  if (typeof data !== 'string') return null
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { type, id, payload = {} } = value as Record<string, unknown>
  if (typeof type !== 'string' || typeof payload !== 'object' || payload === null) return null
  return { type, payload: payload as Record<string, unknown>, ...(typeof id === 'string' ? { id } : {}) }
}
