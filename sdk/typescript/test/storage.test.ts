import { IDBFactory } from 'fake-indexeddb'
import { describe, expect, test } from 'vitest'
import { IndexedDbStorage, LocalStorage, MemoryStorage, type OutboxStorage, type StoredMessage } from '../src/index.js'

/** The browser's Storage, as far as it is used. */
function items(): Storage {
  const map = new Map<string, string>()
  return {
    get length() {
      return map.size
    },
    key: (index: number) => [...map.keys()][index] ?? null,
    getItem: (key: string) => map.get(key) ?? null,
    setItem: (key: string, value: string) => void map.set(key, value),
    removeItem: (key: string) => void map.delete(key),
    clear: () => map.clear(),
  }
}

const message = (clientId: string, text = 'hello'): StoredMessage => ({
  clientId, userId: '1', order: 1, createdAt: 0, conversationId: '7', toUserId: null, kind: 'text', text, replyTo: null, threadOf: null,
  mentions: [], attachments: [], error: null,
})

const kinds: [string, () => [OutboxStorage, OutboxStorage]][] = [
  ['memory', () => twice(new MemoryStorage())],
  ['localStorage', () => {
    const shared = items()
    return [new LocalStorage(shared), new LocalStorage(shared)]
  }],
  ['IndexedDB', () => {
    const shared = new IDBFactory()
    return [new IndexedDbStorage(shared), new IndexedDbStorage(shared)]
  }],
]

function twice<T>(one: T): [T, T] {
  return [one, one]
}

describe.each(kinds)('%s', (_, open) => {
  test('gives back what was put, once', async () => {
    const [storage] = open()
    await storage.put(message('a'))
    await storage.put(message('a', 'changed'))
    expect(await storage.list()).toEqual([message('a', 'changed')])
    expect([await storage.has('a'), await storage.has('b')]).toEqual([true, false])
  })

  test('removing is final, and harmless when there is nothing', async () => {
    const [storage] = open()
    await storage.put(message('a'))
    await storage.remove('a')
    await storage.remove('a')
    expect(await storage.list()).toEqual([])
  })

  test('two tabs that write at once lose nothing of each other', async () => {
    const [one, other] = open()
    await Promise.all([one.put(message('a')), other.put(message('b')), one.put(message('c')), other.remove('x')])
    expect((await other.list()).map(({ clientId }) => clientId).toSorted()).toEqual(['a', 'b', 'c'])
  })
})

test("what another program wrote under our prefix is passed over, and other keys are not ours", async () => {
  const shared = items()
  shared.setItem('parley.outbox.x', '{broken')
  shared.setItem('parley.outbox.y', 'null')
  shared.setItem('theme', 'dark')
  const storage = new LocalStorage(shared)
  await storage.put(message('a'))
  expect(await storage.list()).toEqual([message('a')])
  expect(shared.getItem('theme')).toBe('dark')
})
