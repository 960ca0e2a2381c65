import { afterEach, describe, expect, test, vi } from 'vitest'
import { ParleyClient, type ParleyOptions } from '../src/index.js'

interface Asked {
  url: string
  method: string
  headers: Record<string, string>
  body: unknown
  credentials: string
}

/** A client whose requests get these answers, one after the other, and the requests it made. */
function withAnswers(answers: (Response | Error)[], options: ParleyOptions = {}) {
  const asked: Asked[] = []
  const fetch = (async (url: string, init: RequestInit) => {
    const { method = '', headers, body, credentials = '' } = init
    asked.push({ url, method, headers: headers as Record<string, string>, body: body === undefined ? undefined : JSON.parse(String(body)), credentials })
    const answer = answers.shift() ?? json({})
    if (answer instanceof Error) throw answer
    return answer
  }) as typeof globalThis.fetch
  return { asked, api: new ParleyClient({ baseUrl: 'https://chat.example/base/', fetch, ...options }).api }
}

const json = (body: unknown, status = 200, type = 'application/json') => new Response(JSON.stringify(body), { status, headers: { 'content-type': type } })
const problem = (status: number, fields: object) => json({ type: 'about:blank', status, retryable: false, ...fields }, status, 'application/problem+json')
const ada = { id: '1', username: 'ada' }

afterEach(() => vi.useRealTimers())

describe('requests', () => {
  test('the path of the address is kept, and ids are encoded', async () => {
    const { api, asked } = withAnswers([])
    await api.messages.edits('7', 'a/b?c')
    expect(asked[0]).toMatchObject({ method: 'GET', url: 'https://chat.example/base/api/v1/conversations/7/messages/a%2Fb%3Fc/edits' })
  })

  test('what is not given is not asked', async () => {
    const { api, asked } = withAnswers([])
    await api.messages.page('7', { before: 40, limit: 50, events: true })
    await api.conversations.list()
    expect(asked.map(({ url }) => url.split('/v1')[1])).toEqual(['/conversations/7/messages?before=40&limit=50&events=true', '/conversations'])
  })

  test('an answer without a body is undefined', async () => {
    const { api } = withAnswers([new Response(null, { status: 204 })])
    expect(await api.auth.logout()).toBeUndefined()
  })

  test('durable ones carry a client_id, unless the caller has one', async () => {
    const { api, asked } = withAnswers([])
    await api.conversations.join('7')
    await api.conversations.create({ kind: 'room', name: 'x', client_id: 'mine' })
    expect(asked[0]?.body).toEqual({ client_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string })
    expect(asked[1]?.body).toEqual({ kind: 'room', name: 'x', client_id: 'mine' })
  })
})

describe('credentials', () => {
  test('without a token it is the cookie, and login asks for one', async () => {
    const { api, asked } = withAnswers([json({ user: ada })])
    await api.auth.login({ username: 'ada', password: 'x' })
    expect(asked[0]).toMatchObject({ credentials: 'same-origin', body: { cookie: true, username: 'ada', password: 'x' } })
  })

  test('with a token no cookie has a say', async () => {
    const { api, asked } = withAnswers([], { token: async () => 't1' })
    await api.users.me()
    expect(asked[0]).toMatchObject({ credentials: 'omit', headers: { authorization: 'Bearer t1' } })
  })

  test('a token that has just run out is replaced once', async () => {
    let tokens = 0
    const expired = problem(401, { code: 1101, name: 'unauthenticated' })
    const { api, asked } = withAnswers([expired, json(ada)], { token: async () => `t${++tokens}` })
    expect(await api.users.me()).toEqual(ada)
    expect(asked.map(({ headers }) => headers['authorization'])).toEqual(['Bearer t1', 'Bearer t2'])
  })

  test('the same token is not tried twice', async () => {
    const { api, asked } = withAnswers([problem(401, { code: 1103, name: 'session_ended' })], { token: async () => 't1' })
    await expect(api.users.me()).rejects.toMatchObject({ name: 'session_ended', status: 401 })
    expect(asked).toHaveLength(1)
  })
})

describe('failures', () => {
  test('a problem body is the error, by its name and number', async () => {
    const { api } = withAnswers([problem(429, { code: 1201, name: 'rate_limited', detail: 'slowly', retryable: true, retry_after_ms: 900 })])
    await expect(api.rooms.list()).rejects.toMatchObject({
      code: 1201, name: 'rate_limited', message: 'slowly', retryable: true, retryAfterMs: 900, status: 429,
    })
  })

  test.each([
    [502, 'network', true],
    [404, 'bad_response', false],
    [200, 'bad_response', false],
  ])("a proxy's own page with status %i is %s", async (status, name, retryable) => {
    const { api } = withAnswers([new Response('<html>', { status })])
    await expect(api.rooms.list()).rejects.toMatchObject({ name, retryable, status })
  })

  test('no network is retryable', async () => {
    const { api } = withAnswers([new TypeError('failed to fetch')])
    await expect(api.rooms.list()).rejects.toMatchObject({ name: 'network', retryable: true })
  })

  test('a server that does not answer is given up', async () => {
    vi.useFakeTimers()
    const never = ((_: string, { signal }: RequestInit) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))) as typeof globalThis.fetch
    const { api } = new ParleyClient({ baseUrl: 'https://chat.example', fetch: never, requestTimeoutMs: 500 })
    const failed = api.rooms.list().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(500)
    expect(await failed).toMatchObject({ name: 'timed_out' })
  })

  test('a search that is no longer wanted can be called off', async () => {
    const { api } = withAnswers([])
    await expect(api.users.search('a', { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'aborted' })
  })
})

test('where there is no page, the address must be given', () => {
  expect(() => new ParleyClient()).toThrow('baseUrl')
})
