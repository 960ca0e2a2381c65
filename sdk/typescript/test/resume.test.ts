import { expect, test } from 'vitest'
import type { Entry } from '../src/index.js'
import { clientOf, connected, next, recorded, seqs, start, upTo } from './helpers.js'
import type { TestServer } from './server.js'

const told = (server: TestServer, id: string, seq: number) =>
  server.connections.map((_, index) => index).filter((index) => server.connections[index]?.live?.get(id) === seq)

test('the first thing said is where we stand', async () => {
  const server = await start('7', '8')
  server.say('7', 'before')
  const client = await connected(server)
  await server.until(() => server.commands('resume').length === 1)
  expect(client.state).toBe('connected')
  expect(server.last.commands[0]).toEqual({ type: 'resume', id: 'c1', payload: { epoch: 'e1', cursors: { 7: 1, 8: 0 } } })
})

test('what was missed comes after a reconnect, once and in order', async () => {
  const server = await start('7')
  const client = await connected(server)
  const heard = recorded(client, '7')
  const first = next(client, 'entries')
  await server.until(() => told(server, '7', 0).length === 1)
  server.say('7', 'one')
  await first

  server.last.cut()
  for (let n = 0; n < 5; n++) server.say('7', 'missed')
  await next(client, 'entries', ({ entries }) => entries.at(-1)?.seq === 6)

  expect(seqs(heard)).toEqual(upTo(6))
})

test('a cut in the middle of resuming costs nothing: it goes on after the last page that came', async () => {
  const server = await start('7')
  server.pageSize = 2
  const client = await connected(server)
  const heard = recorded(client, '7')
  await server.until(() => told(server, '7', 0).length === 1)
  server.faults.push((command, connection) => {
    if (command.type !== 'resume' || connection !== server.connections[1]) return false
    const log = server.log('7')
    connection.log('7', log.length, log.slice(0, 4), true)
    connection.ws.close(4001)
    return true
  })

  server.last.cut()
  for (let n = 0; n < 9; n++) server.say('7', 'missed')
  await next(client, 'entries', ({ entries }) => entries.at(-1)?.seq === 9)

  expect(seqs(heard)).toEqual(upTo(9))
  expect(server.commands('resume').map(({ payload }) => payload['cursors'])).toEqual([{ 7: 0 }, { 7: 0 }, { 7: 4 }])
})

test('a repeated entry is dropped and counted', async () => {
  const server = await start('7')
  const client = await connected(server)
  const heard = recorded(client, '7')
  await server.until(() => told(server, '7', 0).length === 1)
  const one = server.say('7', 'one')
  server.last.log('7', 1, [one])
  const two = next(client, 'entries', ({ entries }) => entries.at(-1)?.seq === 2)
  server.say('7', 'two')
  await two

  expect(seqs(heard)).toEqual([1, 2])
  expect(client.stats.repeats).toBe(1)
})

test('a hole is found and filled, and nothing is told before it is', async () => {
  const server = await start('7')
  const client = await connected(server)
  const heard = recorded(client, '7')
  await server.until(() => told(server, '7', 0).length === 1)
  server.last.live?.set('7', 2)
  server.say('7', 'lost')
  server.say('7', 'lost, too')
  const filled = next(client, 'entries', ({ entries }) => entries.at(-1)?.seq === 3)
  server.say('7', 'heard')
  await filled

  expect(seqs(heard)).toEqual(upTo(3))
  expect(client.stats).toMatchObject({ holes: 1, resumes: 2 })
})

test('an end that never came is noticed by what the ack promised', async () => {
  const server = await start('7')
  const client = await connected(server, { answerTimeoutMs: 20 })
  const heard = recorded(client, '7')
  await server.until(() => told(server, '7', 0).length === 1)
  // The fan-out loses the entry; only the ack tells that it exists.
  server.last.live?.set('7', 1)
  const healed = next(client, 'entries')
  client.send({ conversationId: '7', text: 'hello' })
  await healed
  expect(seqs(heard)).toEqual([1])
})

test('a hole the server never fills becomes a reset instead of an endless loop', async () => {
  const server = await start('7')
  for (let n = 0; n < 5; n++) server.say('7', 'old')
  const client = await connected(server)
  await server.until(() => told(server, '7', 5).length === 1)
  server.faults.push((command, connection) => {
    if (command.type !== 'resume') return false
    connection.send({ type: 'ack', id: command.id, payload: { live: { 7: 7 }, reset: {}, gone: [] } })
    connection.log('7', 7, [{ ...(server.log('7')[0] as Entry), seq: 7 }])
    return true
  })
  const error = next(client, 'error')
  const reset = next(client, 'reset')
  server.last.log('7', 7, [{ ...(server.log('7')[0] as Entry), seq: 7 }])

  expect((await error).name).toBe('log_hole')
  expect(await reset).toEqual({ conversation_id: '7', head: 7 })
  expect(server.commands('resume')).toHaveLength(4)
})

test('a restored history resets, and the log goes on from its head', async () => {
  const server = await start('7')
  server.say('7', 'one')
  server.say('7', 'two')
  const client = await connected(server)
  const heard = recorded(client, '7')
  await server.until(() => told(server, '7', 2).length === 1)
  const reset = next(client, 'reset')

  server.epoch = 'e2'
  server.log('7').pop()
  server.last.cut()

  expect(await reset).toEqual({ conversation_id: '7', head: 1 })
  const news = next(client, 'entries')
  server.say('7', 'two again')
  await news
  expect(seqs(heard)).toEqual([2])

  const back = next(client, 'welcome')
  server.last.cut()
  await back
  await server.until(() => server.commands('resume').length === 3)
  expect(server.commands('resume')[2]?.payload).toEqual({ epoch: 'e2', cursors: { 7: 2 } })
})

test('until every part of a resume is answered, the old epoch is the one that is told', async () => {
  const server = await start('7')
  const client = await connected(server)
  await server.until(() => told(server, '7', 0).length === 1)
  server.faults.push((command, connection) => {
    if (command.type !== 'resume' || connection !== server.connections[1]) return false
    connection.cut()
    return true
  })
  const reset = next(client, 'reset')
  server.epoch = 'e2'
  server.last.cut()
  await reset
  expect(server.commands('resume').map(({ payload }) => payload['epoch'])).toEqual(['e1', 'e1', 'e1'])
})

test('a conversation that is gone is told so and not asked for again', async () => {
  const server = await start('7', '8')
  const client = await connected(server)
  await server.until(() => told(server, '7', 0).length === 1)
  const removed = next(client, 'conversation.removed')
  server.logs.delete('8')
  server.listed = ['7']
  server.last.cut()
  expect(await removed).toEqual({ conversation_id: '8' })

  const back = next(client, 'welcome')
  server.last.cut()
  await back
  await server.until(() => server.commands('resume').length === 3)
  expect(server.commands('resume')[2]?.payload['cursors']).toEqual({ 7: 0 })
})

test('a new conversation begins at the head it was added with', async () => {
  const server = await start('7')
  const client = await connected(server)
  const heard = recorded(client, '9')
  await server.until(() => told(server, '7', 0).length === 1)
  server.say('9', 'before')
  const added = next(client, 'conversation.added')
  server.last.send({ type: 'conversation.added', payload: { conversation: server.conversation('9') } })
  await added
  server.last.live?.set('9', 1)
  const news = next(client, 'entries')
  server.say('9', 'after')
  await news
  expect(seqs(heard)).toEqual([2])
})

test('a resume refused for the moment is asked again', async () => {
  const server = await start('7')
  server.say('7', 'one')
  let refused = false
  server.faults.push((command, connection) => {
    if (command.type !== 'resume' || refused) return false
    refused = true
    return connection.refuse(command, 1401, 'storage_unavailable', true, 1)
  })
  const client = clientOf(server)
  client.connect()
  await server.until(() => told(server, '7', 1).length === 1)
  expect(server.connections).toHaveLength(1)
})

test('a lost answer to a resume is asked for again', async () => {
  const server = await start('7')
  let lost = false
  server.faults.push((command) => command.type === 'resume' && !lost && (lost = true))
  await connected(server, { answerTimeoutMs: 20 })
  await server.until(() => told(server, '7', 0).length === 1)
  expect(server.commands('resume')).toHaveLength(2)
})
