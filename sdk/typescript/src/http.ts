/** One HTTP request to the server: address, credentials, JSON, and every failure as a ParleyError. Never repeats by itself, save once after a 401. */
import { ParleyError } from './errors.js'

export interface HttpOptions {
  baseUrl: string
  fetch: typeof fetch
  token: (() => Promise<string | null>) | null
  timeoutMs: number
}

export interface RequestOptions {
  /** Undefined values are left out. */
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  signal?: AbortSignal
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** A path whose inserted parts are encoded: an emoji or a slash in an id stays inside its segment. */
export function path(strings: TemplateStringsArray, ...parts: string[]): string {
  return strings.reduce((whole, piece, index) => whole + encodeURIComponent(parts[index - 1] ?? '') + piece)
}

export class Http {
  readonly #options: HttpOptions

  constructor(options: HttpOptions) {
    this.#options = options
  }

  /** Below `/api/v1`; `https://host/chat` keeps its path. */
  url(path: string, query: RequestOptions['query'] = {}): string {
    const pairs = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
    const search = pairs.length ? `?${new URLSearchParams(pairs)}` : ''
    return `${this.#options.baseUrl}/api/v1${path}${search}`
  }

  /** The JSON of the answer; undefined when it has none (204). Rejects with a ParleyError only. */
  async request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
    const { token } = this.#options
    const first = token ? await token() : null
    const response = await this.#fetch(method, path, options, first)
    if (response.status !== 401 || !token) return read<T>(response)
    // An access token lives for minutes: it may have ended while the request was on its way.
    const second = await token()
    if (second === null || second === first) return read<T>(response)
    return read<T>(await this.#fetch(method, path, options, second))
  }

  async #fetch(method: Method, path: string, { query, body, signal }: RequestOptions, token: string | null): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json' }
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (token !== null) headers['authorization'] = `Bearer ${token}`
    const own = new AbortController()
    const abort = () => own.abort()
    if (signal?.aborted) throw ParleyError.local('aborted')
    signal?.addEventListener('abort', abort, { once: true })
    const timer = setTimeout(abort, this.#options.timeoutMs)
    try {
      const response = await this.#options.fetch(this.url(path, query), {
        method,
        headers,
        // With a token, a cookie of another session must not have a say.
        credentials: this.#options.token ? 'omit' : 'same-origin',
        cache: 'no-store',
        signal: own.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      // The body is read here, under the same timer: headers that arrive and a body that never does are a timeout too.
      const text = await response.text()
      return new Response(text === '' ? null : text, { status: response.status === 204 ? 200 : response.status, headers: response.headers })
    } catch (cause) {
      if (signal?.aborted) throw ParleyError.local('aborted', cause)
      throw ParleyError.local(own.signal.aborted ? 'timed_out' : 'network', cause)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }
}

async function read<T>(response: Response): Promise<T> {
  const text = await response.text()
  let body: unknown
  try {
    body = text === '' ? undefined : JSON.parse(text)
  } catch (cause) {
    body = cause
  }
  if (response.ok && !(body instanceof Error)) return body as T
  throw ParleyError.fromWire(body, response.status) ?? foreign(response)
}

/** An answer that is not the server's own: a proxy in front of it, or the wrong address. */
function foreign(response: Response): ParleyError {
  const { status } = response
  if (status === 401) return new ParleyError({ code: 1101, name: 'unauthenticated', message: 'Sign in first.', retryable: false, status })
  // A gateway that cannot reach the server says 502, 503 or 504; a limiter in front says 429.
  const retryable = status >= 500 || status === 429
  const after = Number(response.headers.get('retry-after'))
  return new ParleyError({
    code: retryable ? 9004 : 9006,
    name: retryable ? 'network' : 'bad_response',
    message: `The address answered with HTTP ${status}, and not as Parley does.`,
    retryable,
    status,
    ...(after > 0 ? { retryAfterMs: after * 1000 } : {}),
  })
}
