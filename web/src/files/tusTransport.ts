/** Moves the bytes by tus-js-client. When to try again is the queue's business, so that there is one rule for it. */
import { ParleyError, type Uploads } from '@parley/sdk'
import type { DetailedError, Upload } from 'tus-js-client'
import type { Transfer, Transport } from './UploadQueue'

/** One request at most: what stands between page and server often has a bound, and a cut costs the less. */
const REQUEST_BYTES = 16 * 1024 * 1024

export function tusTransport(uploads: Pick<Uploads, 'target' | 'refusal'>): Transport {
  return (bytes, about, url, hooks) => {
    let stopped = false
    let upload: Upload | null = null

    async function start(): Promise<void> {
      // A piece of script that most visits never need.
      const [tus, target] = await Promise.all([import('tus-js-client'), uploads.target(about)])
      if (stopped) return
      upload = new tus.Upload(bytes, {
        // Without an endpoint: else whatever goes wrong when going on would begin a second upload.
        ...(url === null ? { endpoint: target.endpoint } : { uploadUrl: url }),
        metadata: target.metadata,
        headers: target.headers,
        chunkSize: REQUEST_BYTES,
        retryDelays: null,
        // The message remembers its uploads; they are its parts, and no business of another one with the same file.
        storeFingerprintForResuming: false,
        onUploadUrlAvailable: () => upload?.url && hooks.located(upload.url),
        onProgress: (sent) => hooks.progress(sent),
        onSuccess: () => hooks.done(),
        onError: (error) => void tell(error),
      })
      upload.start()
    }

    async function tell(error: unknown): Promise<void> {
      const refused = refusalOf(error, uploads)
      if (refused.name === 'network' && !(await isReadable(bytes))) hooks.unreadable()
      else hooks.failed(refused)
    }

    start().catch((error: unknown) => tell(error))
    return {
      stop: () => {
        stopped = true
        void upload?.abort()
      },
    } satisfies Transfer
  }
}

/** A file that was moved or changed on the disk fails like a cut connection. */
async function isReadable(bytes: Blob): Promise<boolean> {
  try {
    await bytes.slice(0, 1).arrayBuffer()
    return true
  } catch {
    return false
  }
}

function refusalOf(error: unknown, uploads: Pick<Uploads, 'refusal'>): ParleyError {
  if (error instanceof ParleyError) return error
  const response = (error as Partial<DetailedError> | null)?.originalResponse
  return uploads.refusal(response?.getStatus() ?? 0, response?.getBody() ?? '')
}
