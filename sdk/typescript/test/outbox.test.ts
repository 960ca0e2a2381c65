import { expect, onTestFinished, test } from 'vitest'
import { MemoryStorage, type PendingMessage } from '../src/index.js'
import { clientOf, connected, next, start } from './helpers.js'
import type { Fault, TestServer } from './server.js'

const texts = (server: TestServer, id: string) =>
  server.log(id).map((entry) => (entry.kind === 'message.created' ? entry.message.text : entry.kind))

/** Resolves when no message is pending any more. */
const emptied = (client: Parameters<typeof next>[0]) => next(client, 'outbox', () => client.pending().every(({ state }) => state === 'failed'))

/** As on a page over plain HTTP. */
function withoutLocks(): void {
  const { navigator } = globalThis
  Object.defineProperty(globalThis, 'navigator', { value: undefined, configurable: true })
  onTestFinished(() => void Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true }))
}

/** Let the first `times` sends run into this. */
function once(times: number, what: Fault): Fault {
  return (command, connection) => command.type === 'message.send' && times-- > 0 && what(command, connection)
}

test('a message is pending at once, and sent with its place in the log', async () => {
  const server = await start('7')
  const client = await connected(server)
  const seen: PendingMessage[] = []
  client.on('outbox', ({ message }) => seen.push(message))
  const sent = next(client, 'outbox', ({ message }) => message.state === 'sent')

  const pending = client.send({ conversationId: '7', text: 'hello', replyTo: '99', mentions: ['2'] })

  expect(pending).toMatchObject({ state: 'pending', conversationId: '7', text: 'hello' })
  expect((await sent).message).toMatchObject({ clientId: pending.clientId, seq: 1, messageId: 'm7-1' })
  expect(seen.map(({ state }) => state)).toEqual(['pending', 'sent'])
  expect(client.pending()).toEqual([])
  expect(server.commands('message.send')[0]?.payload).toEqual({
    conversation_id: '7', client_id: pending.clientId, kind: 'text', text: 'hello', reply_to: '99', mentions: ['2'],
  })
})

test('messages written without a connection go out in order, one at a time', async () => {
  // The promise is the outbox's own; a lock would only hide that it is broken.
  withoutLocks()
  const server = await start('7')
  const client = clientOf(server)
  let inFlight = 0
  let most = 0
  server.faults.push((command, connection) => {
    if (command.type !== 'message.send') return false
    most = Math.max(most, ++inFlight)
    setImmediate(() => {
      inFlight -= 1
      connection.send({ type: 'ack', id: command.id, payload: server.store(command.payload) })
    })
    return true
  })
  for (const text of ['a', 'b', 'c', 'd']) client.send({ conversationId: '7', text })
  const done = emptied(client)
  client.connect()
  await done
  expect(texts(server, '7')).toEqual(['a', 'b', 'c', 'd'])
  expect(most).toBe(1)
})

test('conversations do not wait for each other', async () => {
  const server = await start('7', '8')
  server.faults.push((command) => command.type === 'message.send' && command.payload['conversation_id'] === '7')
  const client = await connected(server)
  client.send({ conversationId: '7', text: 'stuck' })
  const sent = next(client, 'outbox', ({ message }) => message.state === 'sent')
  client.send({ conversationId: '8', text: 'free' })
  expect((await sent).message.conversationId).toBe('8')
})

test('an ack lost with its connection leaves one message, not two', async () => {
  const server = await start('7')
  server.faults.push(
    once(1, ({ payload }, connection) => {
      // Stored, and nobody hears of it.
      connection.live = null
      server.store(payload)
      connection.cut()
      return true
    }),
  )
  const client = await connected(server)
  const done = emptied(client)
  client.send({ conversationId: '7', text: 'hello' })
  client.send({ conversationId: '7', text: 'again' })
  await done
  expect(texts(server, '7')).toEqual(['hello', 'again'])
})

test('an ack that never comes on a living connection is asked for again, with the same client_id', async () => {
  const server = await start('7')
  server.faults.push(once(1, () => true))
  const client = await connected(server, { answerTimeoutMs: 20 })
  const done = emptied(client)
  const { clientId } = client.send({ conversationId: '7', text: 'hello' })
  await done
  expect(server.commands('message.send').map(({ payload }) => payload['client_id'])).toEqual([clientId, clientId])
  expect(server.connections).toHaveLength(1)
})

test('its own entry in the log says as much as an ack', async () => {
  const server = await start('7')
  server.faults.push(once(1, ({ payload }) => Boolean(server.store(payload))))
  const client = await connected(server)
  const sent = next(client, 'outbox', ({ message }) => message.state === 'sent')
  client.send({ conversationId: '7', text: 'hello' })
  expect((await sent).message).toMatchObject({ seq: 1, messageId: 'm7-1' })
})

test("somebody else's entry with the same client_id does not", async () => {
  const server = await start('7')
  let release = () => {}
  server.faults.push(
    once(1, (command, connection) => {
      server.say('7', 'forged', '2', String(command.payload['client_id']))
      release = () => connection.send({ type: 'ack', id: command.id, payload: server.store(command.payload) })
      return true
    }),
  )
  const client = await connected(server)
  const forged = next(client, 'entries')
  const { clientId } = client.send({ conversationId: '7', text: 'mine' })
  await forged
  expect(client.pending().map((one) => one.clientId)).toEqual([clientId])
  const done = emptied(client)
  release()
  await done
})

test('a retryable refusal keeps it pending, holds those behind it, and is tried again', async () => {
  const server = await start('7')
  server.faults.push(once(2, (command, connection) => connection.refuse(command, 1201, 'rate_limited', true, 1)))
  const client = await connected(server)
  const refused = next(client, 'outbox', ({ message }) => message.error?.name === 'rate_limited')
  const done = emptied(client)
  client.send({ conversationId: '7', text: 'a' })
  client.send({ conversationId: '7', text: 'b' })
  expect((await refused).message.state).toBe('pending')
  await done
  expect(texts(server, '7')).toEqual(['a', 'b'])
})

test('a refusal for good fails it with the reason, lets the next one pass, and can be tried again or discarded', async () => {
  const server = await start('7')
  server.faults.push(once(2, (command, connection) => connection.refuse(command, 1003, 'too_long', false)))
  const client = await connected(server)
  const failed = next(client, 'outbox', ({ message }) => message.state === 'failed')
  const { clientId } = client.send({ conversationId: '7', text: 'long' })
  expect((await failed).message.error).toMatchObject({ code: 1003, name: 'too_long', retryable: false })

  const again = next(client, 'outbox', ({ message }) => message.state === 'failed')
  expect(client.retry(clientId)).toBe(true)
  expect((await again).message.clientId).toBe(clientId)

  const sent = next(client, 'outbox', ({ message }) => message.state === 'sent')
  client.send({ conversationId: '7', text: 'short' })
  expect((await sent).message.text).toBe('short')
  expect(client.discard(clientId)).toBe(true)
  expect(client.discard(clientId)).toBe(false)
  expect(client.pending()).toEqual([])
})

test('a session that ends is not the fault of the message', async () => {
  const server = await start('7')
  server.faults.push(
    once(1, (command, connection) => {
      connection.refuse(command, 1103, 'session_ended', false)
      connection.ws.close(4500)
      return true
    }),
  )
  const client = await connected(server)
  const stopped = next(client, 'state', ({ state }) => state === 'disconnected')
  client.send({ conversationId: '7', text: 'later' })
  await stopped
  expect(client.pending()).toMatchObject([{ state: 'pending', text: 'later' }])
  const done = emptied(client)
  client.connect()
  await done
  expect(texts(server, '7')).toEqual(['later'])
})

test('a full outbox says so by name', async () => {
  const server = await start('7')
  const client = clientOf(server, { outboxLimit: 2 })
  client.send({ conversationId: '7', text: 'a' })
  client.send({ conversationId: '7', text: 'b' })
  expect(() => client.send({ conversationId: '7', text: 'c' })).toThrow(expect.objectContaining({ name: 'outbox_full', code: 9001 }))
  expect(client.pending()).toHaveLength(2)
})

test('a direct message finds its conversation by the ack', async () => {
  const server = await start('7')
  const client = await connected(server)
  const sent = next(client, 'outbox', ({ message }) => message.state === 'sent')
  client.send({ toUserId: '5', text: 'psst' })
  expect((await sent).message).toMatchObject({ toUserId: '5', conversationId: 'direct-5' })
  expect(server.commands('message.send')[0]?.payload).toMatchObject({ to_user_id: '5' })
})

test('by user and by conversation is the same lane once they are known to be the same', async () => {
  const server = await start('direct-5')
  let release = () => {}
  server.faults.push(
    once(1, (command, connection) => {
      release = () => connection.send({ type: 'ack', id: command.id, payload: server.store(command.payload) })
      return true
    }),
  )
  const client = await connected(server)
  client.send({ toUserId: '5', text: 'a' })
  await server.until(() => server.commands('message.send').length === 1)
  const added = next(client, 'conversation.added')
  const peer = { ...server.me, id: '5' }
  server.last.send({ type: 'conversation.added', payload: { conversation: { ...server.conversation('direct-5'), kind: 'direct', peer } } })
  await added
  client.send({ conversationId: 'direct-5', text: 'b' })
  expect(client.pending('direct-5').map(({ text }) => text)).toEqual(['a', 'b'])

  const done = emptied(client)
  release()
  await done
  expect(texts(server, 'direct-5')).toEqual(['a', 'b'])
})

test('unsent messages survive a reload, in order, before what is written after it', async () => {
  const server = await start('7')
  const storage = new MemoryStorage()
  const before = clientOf(server, { storage, userId: '1' })
  before.send({ conversationId: '7', text: 'a' })
  before.send({ conversationId: '7', text: 'b' })
  await expect.poll(() => storage.list()).toHaveLength(2)

  const after = clientOf(server, { storage })
  after.send({ conversationId: '7', text: 'c' })
  const done = emptied(after)
  after.connect()
  await done

  expect(texts(server, '7')).toEqual(['a', 'b', 'c'])
  await expect.poll(() => storage.list()).toEqual([])
})

test('a failed message survives a reload as failed', async () => {
  const server = await start('7')
  const storage = new MemoryStorage()
  server.faults.push(once(1, (command, connection) => connection.refuse(command, 1306, 'conversation_closed', false)))
  const before = await connected(server, { storage })
  const failed = next(before, 'outbox', ({ message }) => message.state === 'failed')
  before.send({ conversationId: '7', text: 'late' })
  await failed
  await expect.poll(async () => (await storage.list())[0]?.error?.name).toBe('conversation_closed')
  before.disconnect()

  const after = clientOf(server, { storage, userId: '1' })
  await next(after, 'outbox')
  expect(after.pending()).toMatchObject([{ state: 'failed', text: 'late', error: { code: 1306, name: 'conversation_closed' } }])
})

test("another account neither sees nor sends what this one left behind", async () => {
  const server = await start('7')
  const storage = new MemoryStorage()
  const ada = clientOf(server, { storage, userId: '1' })
  ada.send({ conversationId: '7', text: "ada's" })
  await expect.poll(() => storage.list()).toHaveLength(1)

  server.me = { ...server.me, id: '2', username: 'bob' }
  const bob = await connected(server, { storage })
  const sent = next(bob, 'outbox', ({ message }) => message.state === 'sent')
  bob.send({ conversationId: '7', text: "bob's" })
  await sent

  expect(texts(server, '7')).toEqual(["bob's"])
  expect((await storage.list()).map(({ text }) => text)).toEqual(["ada's"])
})

test('two tabs with one storage send each message once, and in order', async () => {
  const server = await start('7')
  const storage = new MemoryStorage()
  const writer = clientOf(server, { storage, userId: '1' })
  for (const text of ['a', 'b', 'c']) writer.send({ conversationId: '7', text })
  await expect.poll(() => storage.list()).toHaveLength(3)
  writer.disconnect()

  const tabs = [clientOf(server, { storage }), clientOf(server, { storage })]
  const done = Promise.all(tabs.map((tab) => next(tab, 'outbox', () => storageOf(tab) === 0)))
  for (const tab of tabs) tab.connect()
  await done
  expect(texts(server, '7')).toEqual(['a', 'b', 'c'])
  expect(server.commands('message.send')).toHaveLength(3)
  await expect.poll(() => storage.list()).toEqual([])

  function storageOf(tab: (typeof tabs)[number]) {
    return tab.pending().length
  }
})

test('a storage that fails is reported, and the message goes out all the same', async () => {
  const server = await start('7')
  const broken = Object.assign(new MemoryStorage(), { put: () => Promise.reject(new Error('quota')), list: () => Promise.reject(new Error('no')) })
  const client = clientOf(server, { storage: broken })
  const error = next(client, 'error')
  const done = emptied(client)
  client.connect()
  client.send({ conversationId: '7', text: 'hello' })
  await done
  expect((await error).name).toBe('storage_failed')
  expect(texts(server, '7')).toEqual(['hello'])
})

test('without Web Locks a double is harmless', async () => {
  withoutLocks()
  const server = await start('7')
  const storage = new MemoryStorage()
  const writer = clientOf(server, { storage, userId: '1' })
  writer.send({ conversationId: '7', text: 'a' })
  await expect.poll(() => storage.list()).toHaveLength(1)

  const tabs = [clientOf(server, { storage }), clientOf(server, { storage })]
  const done = Promise.all(tabs.map((tab) => next(tab, 'outbox', () => tab.pending().length === 0)))
  for (const tab of tabs) tab.connect()
  await done
  expect(texts(server, '7')).toEqual(['a'])
})

test('the outbox can be cleared for good', async () => {
  const server = await start('7')
  const storage = new MemoryStorage()
  const client = clientOf(server, { storage, userId: '1' })
  client.send({ conversationId: '7', text: 'a' })
  await expect.poll(() => storage.list()).toHaveLength(1)
  await client.clearOutbox()
  expect(client.pending()).toEqual([])
  expect(await storage.list()).toEqual([])
})
