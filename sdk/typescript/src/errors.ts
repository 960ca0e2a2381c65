/**
 * One error type.
 *
 *     ParleyError   name: a row of codes.toml   what the server said
 *                   name: a row of LOCAL_ERRORS what the SDK says itself (9001 …)
 *
 * Act on `name`, `code` and `retryable`; `message` is for people and not public API.
 */
import { ERRORS } from './codes.js'

/** What can go wrong before or beside the server. */
export const LOCAL_ERRORS = {
  outbox_full: { code: 9001, retryable: true, text: 'Too many messages are waiting to be sent.' },
  aborted: { code: 9002, retryable: true, text: 'The caller gave up.' },
  timed_out: { code: 9003, retryable: true, text: 'There was no answer in time.' },
  network: { code: 9004, retryable: true, text: 'The server cannot be reached.' },
  disconnected: { code: 9005, retryable: true, text: 'The connection is closed.' },
  bad_response: { code: 9006, retryable: false, text: 'The answer is not one this client understands.' },
  storage_failed: { code: 9007, retryable: true, text: 'Unsent messages cannot be stored here and will not survive a reload.' },
  log_hole: { code: 9008, retryable: true, text: 'The log came with a hole that asking again did not fill.' },
} as const

export type LocalErrorName = keyof typeof LOCAL_ERRORS

/** The fields of an `error` frame or a problem body. */
export interface ErrorFields {
  code: number
  name: string
  message: string
  retryable: boolean
  retryAfterMs?: number
  /** The HTTP status, when it came over HTTP. */
  status?: number
}

export class ParleyError extends Error {
  readonly code: number
  override readonly name: string
  /** The same call, with the same client_id, may succeed later. */
  readonly retryable: boolean
  /** How long to wait before that. */
  readonly retryAfterMs?: number
  readonly status?: number

  constructor(fields: ErrorFields, options?: { cause?: unknown }) {
    super(fields.message, options)
    this.code = fields.code
    this.name = fields.name
    this.retryable = fields.retryable
    if (fields.retryAfterMs !== undefined) this.retryAfterMs = fields.retryAfterMs
    if (fields.status !== undefined) this.status = fields.status
  }

  /** An error of the SDK's own. */
  static local(name: LocalErrorName, cause?: unknown, detail?: string): ParleyError {
    const { code, retryable, text } = LOCAL_ERRORS[name]
    return new ParleyError({ code, name, message: detail ?? text, retryable }, { cause })
  }

  /**
   * From the payload of an `error` frame or a problem body (`detail` instead of `message`).
   * Null when it is neither: the caller knows better what that means.
   */
  static fromWire(body: unknown, status?: number): ParleyError | null {
    if (typeof body !== 'object' || body === null) return null
    const { code, name, message, detail, title, retryable, retry_after_ms: after } = body as Record<string, unknown>
    if (typeof code !== 'number' || typeof name !== 'string') return null
    const known = ERRORS[name as keyof typeof ERRORS]
    const text = [message, detail, title].find((one): one is string => typeof one === 'string')
    return new ParleyError({
      code,
      name,
      message: text ?? known?.text ?? name,
      retryable: typeof retryable === 'boolean' ? retryable : (known?.retryable ?? false),
      ...(typeof after === 'number' ? { retryAfterMs: after } : {}),
      ...(status === undefined ? {} : { status }),
    })
  }
}

/** Anything thrown, as a ParleyError. */
export function asParleyError(thrown: unknown): ParleyError {
  return thrown instanceof ParleyError ? thrown : ParleyError.local('bad_response', thrown, String(thrown))
}
