/**
 * Files on their way to the server, by tus 1.0: where to, with which headers, and what an answer means.
 *
 * Moving the bytes is a tus client's work, e.g. tus-js-client's; there are good ones for every runtime, and none is needed to write a message.
 * The last segment of an upload's address is the id of the file that it becomes.
 */
import { ParleyError } from './errors.js'
import { path, type Http } from './http.js'
import type { UploadAbout, UploadTarget } from './types.js'

const PATH = '/files/uploads'
/** The server's bound. */
const LEVELS = 64

export class Uploads {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  async target(about: UploadAbout): Promise<UploadTarget> {
    return { endpoint: this.#http.url(PATH), metadata: metadataOf(about), headers: await this.headers() }
  }

  /** The credentials, for any request to an upload's address. */
  headers(): Promise<Record<string, string>> {
    return this.#http.credentials()
  }

  /** Throws a TypeError for what is no upload's address. */
  fileId(uploadUrl: string): string {
    const found = /\/files\/uploads\/([0-9]+)(?:[?#]|$)/.exec(uploadUrl)
    if (!found) throw new TypeError(`This is not the address of an upload: ${uploadUrl}`)
    return found[1]!
  }

  /** Give an upload up, or take back a complete file that no message holds. Rejects with `unknown_file` when it is not there any more. */
  cancel(fileId: string): Promise<void> {
    return this.#http.request<void>('DELETE', path`/files/uploads/${fileId}`, { headers: { 'tus-resumable': '1.0.0' } })
  }

  /** What the server said no with; `network` for status 0, when there was no answer at all. */
  refusal(status: number, body: string): ParleyError {
    return status === 0 ? ParleyError.local('network') : this.#http.refusal(status, body)
  }
}

function metadataOf({ name, conversationId, durationMs, waveform }: UploadAbout): Record<string, string> {
  return {
    filename: name,
    ...(conversationId === undefined ? {} : { conversation_id: conversationId }),
    ...(durationMs === undefined ? {} : { duration_ms: String(Math.round(durationMs)) }),
    ...(waveform?.length ? { waveform: waveform.slice(0, LEVELS).map(level).join(',') } : {}),
  }
}

function level(value: number): string {
  return String(Math.round(Math.min(100, Math.max(0, value))))
}
