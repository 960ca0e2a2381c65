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
  /** Beside those that every request has. */
  headers?: Record<string, string>
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

  /** For requests that are made by others; empty when the session is a cookie. */
  async credentials(): Promise<Record<string, string>> {
    const { token } = this.#options
    return bearer(token ? await token() : null)
  }

  /** The error in an answer that others have read. */
  refusal(status: number, text: string): ParleyError {
    return refusal(new Response(null, { status: status < 200 || status > 599 ? 500 : status }), parse(text))
  }

  async #fetch(method: Method, path: string, { query, body, signal, headers: more }: RequestOptions, token: string | null): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json', ...more }
    if (body !== undefined) headers['content-type'] = 'application/json'
    Object.assign(headers, bearer(token))
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

function bearer(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

async function read<T>(response: Response): Promise<T> {
  const body = parse(await response.text())
  if (response.ok && !(body instanceof Error)) return body as T
  throw refusal(response, body)
}

/** The JSON; undefined for nothing, and an Error for what is none. */
function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch (cause) {
    return cause
  }
}

function refusal(response: Response, body: unknown): ParleyError {
  return ParleyError.fromWire(body, response.status) ?? foreign(response)
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
