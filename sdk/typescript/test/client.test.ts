import { expect, test } from 'vitest'
import { clientOf, connected, next, start } from './helpers.js'

test('a durable command is the same one over a reconnect', async () => {
  const server = await start('7')
  let cut = false
  server.faults.push((command, connection) => {
    if (command.type !== 'reaction.add' || cut) return false
    cut = true
    connection.cut()
    return true
  })
  const client = await connected(server)
  expect(await client.react('7', 'm1', '👍', { clientId: 'mine' })).toMatchObject({ conversation_id: '7', duplicate: false })
  expect(server.commands('reaction.add').map(({ payload }) => payload)).toEqual(
    Array(2).fill({ conversation_id: '7', message_id: 'm1', emoji: '👍', client_id: 'mine' }),
  )
})

test('every command says what the protocol wants', async () => {
  const server = await start('7')
  const client = await connected(server)
  await client.edit('7', 'm1', 'new', { clientId: 'a' })
  await client.delete('7', 'm1', { clientId: 'b' })
  await client.unreact('7', 'm1', '👍', { clientId: 'c' })
  await client.pin('7', 'm1', { clientId: 'd' })
  await client.unpin('7', 'm1', { clientId: 'e' })
  await client.join('7', { clientId: 'f' })
  await client.leave('7', { clientId: 'g' })
  await client.markRead('7', 3, 4)
  await client.setTyping('7')
  await client.cancelAssistant('7', 'm1')
  const about = { conversation_id: '7', message_id: 'm1' }
  expect(server.last.commands.slice(1).map(({ type, payload }) => [type, payload])).toEqual([
    ['message.edit', { ...about, text: 'new', client_id: 'a' }],
    ['message.delete', { ...about, client_id: 'b' }],
    ['reaction.remove', { ...about, emoji: '👍', client_id: 'c' }],
    ['pin.add', { ...about, client_id: 'd' }],
    ['pin.remove', { ...about, client_id: 'e' }],
    ['conversation.join', { conversation_id: '7', client_id: 'f' }],
    ['conversation.leave', { conversation_id: '7', client_id: 'g' }],
    ['read.mark', { conversation_id: '7', seq: 3, delivered_seq: 4 }],
    ['typing.set', { conversation_id: '7', is_typing: true }],
    ['assistant.cancel', about],
  ])
})

test('whose presence is watched holds over reconnects, and nothing is said before the resume', async () => {
  const server = await start('7')
  const client = clientOf(server)
  await client.watchPresence(['2', '3'])
  client.connect()
  await server.until(() => server.connections[0]?.commands.length === 2)
  const back = next(client, 'welcome')
  server.last.cut()
  await back
  await server.until(() => server.last.commands.length === 2)
  expect(server.connections.map(({ commands }) => commands.map(({ type }) => type))).toEqual(Array(2).fill(['resume', 'presence.watch']))
  expect(server.last.commands[1]?.payload).toEqual({ user_ids: ['2', '3'] })
})

test('signals are handed on as they come, and those of tomorrow are passed over', async () => {
  const server = await start('7')
  const client = await connected(server)
  const heard = Promise.all([next(client, 'typing'), next(client, 'call'), next(client, 'ai.delta'), next(client, 'ai.queued')])
  const delta = { conversation_id: '7', message_id: '70', offset: 0, text: 'one ' }
  const queued = { conversation_id: '7', message_id: '69', place: 2 }
  const typing = { conversation_id: '7', user_id: '2', is_typing: true }
  server.last.send({ type: 'of.tomorrow', payload: {} })
  server.last.ws.send('not a frame')
  server.last.send({ type: 'typing', payload: typing })
  server.last.send({ type: 'call.offer', payload: { call_id: '1' } })
  server.last.send({ type: 'ai.delta', payload: delta })
  server.last.send({ type: 'ai.queued', payload: queued })
  expect(await heard).toEqual([typing, { type: 'call.offer', payload: { call_id: '1' } }, delta, queued])
})

test('an error that answers nothing is an event', async () => {
  const server = await start('7')
  const client = await connected(server)
  const error = next(client, 'error')
  server.last.send({ type: 'error', payload: { code: 1001, name: 'bad_payload', message: 'what?', retryable: false } })
  expect(await error).toMatchObject({ name: 'bad_payload' })
})

test('what waits when the client stops is told so', async () => {
  const server = await start('7')
  server.faults.push((command) => command.type === 'pin.add')
  const client = await connected(server)
  const waits = client.pin('7', 'm1').catch((error: unknown) => error)
  await server.until(() => server.commands('pin.add').length === 1)
  client.disconnect()
  expect(await waits).toMatchObject({ name: 'disconnected' })
})
