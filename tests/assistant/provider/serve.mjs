// A language model's endpoint that is not ours, for the tests: what it does is asked for in the last message's words.
// Prints its address as one line of JSON, and ends when its standard input does.
import { LLMock } from '@copilotkit/aimock'

const keys = process.env.PROVIDER_KEYS
const auth = keys ? { auth: { apiKeys: keys.split(',') } } : {}
const mock = new LLMock({ port: 0, host: '127.0.0.1', logLevel: 'silent', journalMaxEntries: 20000, ...auth })

const words = (count, word = 'word') => Array.from({ length: count }, (_, i) => `${word}${i}`).join(' ')

mock.onMessage(/count to (\d+)/, (request) => ({ content: words(number(request, /count to (\d+)/)) }), { chunkSize: 8 })
mock.onMessage(/slowly say (\d+)/, (request) => ({ content: words(number(request, /slowly say (\d+)/)) }), { chunkSize: 8, latency: 40 })
mock.onMessage(/never end/, { content: words(4000) }, { chunkSize: 8, latency: 60 })
const lesson = `Here is **how** it is done:

1. Open the *file*
2. Read it

\`\`\`python
def total(numbers: list[int]) -> int:
    return sum(numbers)  # the whole of it
\`\`\`

That is all; see [the manual](https://example.org/manual).`
mock.onMessage(/teach me/, { content: lesson }, { chunkSize: 5, latency: 25 })
mock.onMessage(/at length/, { content: words(3500) }, { chunkSize: 24, latency: 30 })
mock.onMessage(/emoji/, { content: '😀👩‍👩‍👧日本語 done' }, { chunkSize: 1 })
mock.onMessage(/too many/, { error: { message: 'slow down', type: 'rate_limit_error' }, status: 429, retryAfter: 0 })
mock.onMessage(/break down/, { error: { message: 'broken', type: 'server_error' }, status: 500 })
mock.onMessage(/cut off/, { content: words(200) }, { chunkSize: 8, truncateAfterChunks: 5, latency: 20 })
mock.onMessage(/hang/, { content: 'late' }, { latency: 30000 })
mock.onMessage(/./s, { content: 'an answer' })

function number(request, pattern) {
  const last = request.messages.at(-1).content
  return Number(last.match(pattern)[1])
}

await mock.start()
process.stdout.write(`${JSON.stringify({ url: mock.url })}\n`)
process.stdin.resume()
process.stdin.on('end', async () => {
  await mock.stop()
  process.exit(0)
})
