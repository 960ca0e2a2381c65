import { onTestFinished } from 'vitest'
import { ConnectionState, MemoryStorage, ParleyClient, type Entry, type EventMap, type EventName, type ParleyOptions } from '../src/index.js'
import { TestServer } from './server.js'

/** The next event of this name that fits. Ask before you do what makes it happen. */
export function next<E extends EventName>(client: ParleyClient, event: E, fits: (value: EventMap[E]) => boolean = () => true): Promise<EventMap[E]> {
  return new Promise((resolve) => {
    const end = client.on(event, (value) => {
      if (!fits(value)) return
      end()
      resolve(value)
    })
  })
}

export const reaches = (client: ParleyClient, state: ConnectionState) => next(client, 'state', (change) => change.state === state)

export async function start(...conversations: string[]): Promise<TestServer> {
  const server = await TestServer.start(...conversations)
  onTestFinished(() => server.close())
  return server
}

/** A client that does not dawdle. */
export function clientOf(server: TestServer, options: ParleyOptions = {}): ParleyClient {
  const client = new ParleyClient({ baseUrl: server.url, storage: new MemoryStorage(), reconnect: { minMs: 1, maxMs: 5 }, ...options })
  onTestFinished(() => client.disconnect())
  return client
}

export async function connected(server: TestServer, options: ParleyOptions = {}): Promise<ParleyClient> {
  const client = clientOf(server, options)
  const welcome = next(client, 'welcome')
  client.connect()
  await welcome
  return client
}

/** Everything the client told of one conversation, as it came. */
export function recorded(client: ParleyClient, conversation: string): Entry[] {
  const entries: Entry[] = []
  client.on('entries', (news) => news.conversation_id === conversation && entries.push(...news.entries))
  return entries
}

export const seqs = (entries: readonly Entry[]) => entries.map((entry) => entry.seq)

export const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => first + index)
