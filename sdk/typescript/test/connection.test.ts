import { describe, expect, test } from 'vitest'
import { ConnectionState, type StateChange } from '../src/index.js'
import { drainMs, stops } from '../src/socket.js'
import { clientOf, connected, next, reaches, start } from './helpers.js'

const { Connected, Connecting, Disconnected, Reconnecting } = ConnectionState

describe('states', () => {
  test('a client goes from disconnected over connecting to connected, and back when asked', async () => {
    const server = await start('7')
    const client = clientOf(server)
    const states: ConnectionState[] = [client.state]
    client.on('state', (change) => states.push(change.state))
    const welcome = next(client, 'welcome')

    client.connect()
    expect((await welcome).user.username).toBe('ada')
    expect(client.state).toBe(Connected)
    client.disconnect()

    expect(states).toEqual([Disconnected, Connecting, Connected, Disconnected])
    expect(client.reason).toEqual({ name: 'asked' })
  })

  test('a cut connection comes back by itself', async () => {
    const server = await start('7')
    const client = await connected(server)
    const lost = reaches(client, Reconnecting)
    const back = next(client, 'welcome')

    server.last.cut()

    expect((await lost).reason).toEqual({ name: 'connection_lost', code: 1006 })
    await back
    expect(server.connections).toHaveLength(2)
  })

  test('the countdown is public, and need not be sat out', async () => {
    const server = await start('7')
    const client = await connected(server, { reconnect: { minMs: 3_600_000, maxMs: 3_600_000 }, random: () => 0.5, now: () => 1000 })
    const lost = reaches(client, Reconnecting)
    server.last.cut()
    await lost
    expect(client.reconnectAt).toBe(1000 + 1_800_000)
    const back = next(client, 'welcome')

    client.reconnectNow()

    expect(client.reconnectAt).toBeNull()
    await back
  })

  test('a server that cannot be reached is tried again until it can', async () => {
    const server = await start('7')
    server.refuseUpgrade = 503
    const client = clientOf(server)
    const third = server.until(() => server.requests.filter((request) => request.startsWith('UPGRADE')).length >= 3)
    const welcome = next(client, 'welcome')
    client.connect()
    await third
    expect(client.state).toBe(Reconnecting)

    server.refuseUpgrade = null

    await welcome
  })
})

describe('close codes', () => {
  test.each([1000, 1001, 1009, 4001, 4002, 4003, 4499])('%i comes back', async (code) => {
    const server = await start('7')
    const client = await connected(server)
    const back = next(client, 'welcome')
    server.last.ws.close(code, code === 4003 ? '1' : '')
    await back
  })

  test.each([
    [4500, 'session_ended'],
    [4501, 'replaced'],
    [4502, 'banned'],
    [4999, 'stopped'],
  ])('%i stops, because of %s', async (code, name) => {
    const server = await start('7')
    const client = await connected(server)
    const stopped = reaches(client, Disconnected)
    server.last.ws.close(code, 'bye')
    expect((await stopped).reason).toEqual({ name, code, text: 'bye' })
  })

  test('a draining server says itself when to come back', async () => {
    const server = await start('7')
    const client = await connected(server, { now: () => 5000 })
    const lost = reaches(client, Reconnecting)
    server.last.ws.close(4003, 'draining, back in 40000 ms')
    await lost
    expect(client.reconnectAt).toBe(45_000)
  })

  test('only 4500 to 4999 mean stop', () => {
    expect([1000, 1006, 4000, 4499, 4500, 4999, 5000].map(stops)).toEqual([false, false, false, false, true, true, false])
  })

  test('a drain without a number, or with an absurd one, is bounded', () => {
    expect([drainMs('soon'), drainMs('250'), drainMs('999999999')]).toEqual([undefined, 250, 60_000])
  })
})

describe('getting in', () => {
  test('a session that has ended stops the client, although a browser cannot see the 401 of an upgrade', async () => {
    const server = await start('7')
    server.refuseUpgrade = 401
    server.signedIn = false
    const client = clientOf(server)
    const stopped = reaches(client, Disconnected)
    client.connect()
    expect((await stopped).reason).toEqual({ name: 'session_ended' })
  })

  test('with a cookie the socket opens without a ticket', async () => {
    const server = await start('7')
    await connected(server)
    expect(server.requests).toEqual(['UPGRADE /api/v1/ws'])
  })

  test('with a token a ticket is taken, and the token stays out of the address', async () => {
    const server = await start('7')
    await connected(server, { token: async () => 'secret' })
    expect(server.requests).toEqual(['POST /api/v1/auth/ws-ticket', 'UPGRADE /api/v1/ws?ticket=once'])
  })

  test('a refused ticket stops, a failed one is tried again', async () => {
    const server = await start('7')
    server.signedIn = false
    const client = clientOf(server, { token: async () => 'secret' })
    const stopped = reaches(client, Disconnected)
    client.connect()
    expect((await stopped).reason).toEqual({ name: 'session_ended' })

    let tokens = 0
    server.signedIn = true
    const flaky = clientOf(server, {
      token: () => (++tokens < 3 ? Promise.reject(new Error('no network')) : Promise.resolve('secret')),
    })
    const welcome = next(flaky, 'welcome')
    flaky.connect()
    await welcome
    expect(tokens).toBe(3)
  })
})

describe('half-open', () => {
  test('a socket on which nothing is heard any more is given up', async () => {
    const server = await start('7')
    server.heartbeat_s = 0.02
    server.faults.push((command, connection) => command.type === 'ping' && connection === server.connections[0])
    const client = await connected(server)
    const lost = reaches(client, Reconnecting)
    const back = next(client, 'welcome')
    expect((await lost).reason).toEqual({ name: 'heartbeat_missed' })
    await back
  })

  test('one that answers its pings is kept', async () => {
    const server = await start('7')
    server.heartbeat_s = 0.02
    const client = await connected(server)
    const changes: StateChange[] = []
    client.on('state', (change) => changes.push(change))
    await server.until(() => server.commands('ping').length >= 4)
    expect(changes).toEqual([])
  })
})
