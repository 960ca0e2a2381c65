import { describe, expect, test } from 'vitest'
import { MemoryStorage, ParleyClient, ParleyError, type ParleyOptions } from '../src/index.js'

function client(options: ParleyOptions = {}) {
  const asked: { url: string; init: RequestInit }[] = []
  const fetch = (async (url: string, init: RequestInit) => {
    asked.push({ url, init })
    return new Response(null, { status: 204 })
  }) as typeof globalThis.fetch
  return { asked, client: new ParleyClient({ baseUrl: 'https://chat.example/base', fetch, storage: new MemoryStorage(), ...options }) }
}

describe('a tus client is told', () => {
  test('where to, and nothing it need not know where the session is a cookie', async () => {
    const target = await client().client.uploads.target({ name: 'a.png', conversationId: '7' })
    expect(target).toEqual({
      endpoint: 'https://chat.example/base/api/v1/files/uploads',
      metadata: { filename: 'a.png', conversation_id: '7' },
      headers: {},
    })
  })

  test('the token of the moment', async () => {
    let minted = 0
    const { uploads } = client({ token: async () => `t${++minted}` }).client
    expect((await uploads.target({ name: 'a' })).headers).toEqual({ authorization: 'Bearer t1' })
    expect(await uploads.headers()).toEqual({ authorization: 'Bearer t2' })
  })

  test('of a recording no more than the server takes: 64 whole levels from 0 to 100', async () => {
    const waveform = [-3, 0.4, 99.6, 140, ...Array.from({ length: 90 }, () => 50)]
    const { metadata } = await client().client.uploads.target({ name: 'voice.webm', durationMs: 1234.5, waveform })
    expect(metadata['duration_ms']).toBe('1235')
    const levels = metadata['waveform']!.split(',')
    expect(levels).toHaveLength(64)
    expect(levels.slice(0, 5)).toEqual(['0', '0', '100', '100', '50'])
  })
})

describe('an answer to a tus client', () => {
  const { uploads } = client().client

  test("is the server's own error, with its name", () => {
    const body = JSON.stringify({ code: 1315, name: 'file_too_large', message: 'A file has at most 5 bytes.', retryable: false, status: 413 })
    expect(uploads.refusal(413, body)).toMatchObject({ name: 'file_too_large', code: 1315, retryable: false, status: 413 })
  })

  test.each([
    [0, 'network', true],
    [502, 'network', true],
    [413, 'bad_response', false],
  ])('of status %i from who knows whom is %s', (status, name, retryable) => {
    const error = uploads.refusal(status, '<html>nginx</html>')
    expect(error).toBeInstanceOf(ParleyError)
    expect(error).toMatchObject({ name, retryable })
  })
})

describe('an upload', () => {
  test('is named by the end of its address', () => {
    const { uploads } = client().client
    expect(uploads.fileId('/api/v1/files/uploads/123')).toBe('123')
    expect(uploads.fileId('https://chat.example/base/api/v1/files/uploads/45?x=1')).toBe('45')
    expect(() => uploads.fileId('/api/v1/files/uploads/')).toThrow(TypeError)
  })

  test('is given up as tus says', async () => {
    const { client: parley, asked } = client()
    await parley.uploads.cancel('12')
    expect(asked[0]).toMatchObject({
      url: 'https://chat.example/base/api/v1/files/uploads/12',
      init: { method: 'DELETE', headers: { 'tus-resumable': '1.0.0' } },
    })
  })
})

test('the addresses of a file', () => {
  const { files } = client().client.api
  expect(files.url('9')).toBe('https://chat.example/base/api/v1/files/9')
  expect(files.url('9', { download: true })).toBe('https://chat.example/base/api/v1/files/9?download=true')
  expect(files.thumbnailUrl('9')).toBe('https://chat.example/base/api/v1/files/9/thumbnail')
})

test('a message that is sent again under its client_id is in the outbox once', () => {
  const { client: parley } = client({ userId: '1' })
  const first = parley.send({ conversationId: '7', text: '', kind: 'image', attachments: ['9'], clientId: 'c1' })
  const again = parley.send({ conversationId: '7', text: '', kind: 'image', attachments: ['9'], clientId: 'c1' })
  expect(again.clientId).toBe(first.clientId)
  expect(parley.pending('7').map(({ clientId }) => clientId)).toEqual(['c1'])
})
