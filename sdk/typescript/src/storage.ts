/** Where unsent messages survive a reload. Several tabs write at once, so every message has a key of its own. */
import type { OutboxStorage, StoredMessage } from './types.js'

/** Forgets on reload. */
export class MemoryStorage implements OutboxStorage {
  readonly #messages = new Map<string, StoredMessage>()

  async list(): Promise<StoredMessage[]> {
    return [...this.#messages.values()]
  }

  async has(clientId: string): Promise<boolean> {
    return this.#messages.has(clientId)
  }

  async put(message: StoredMessage): Promise<void> {
    this.#messages.set(message.clientId, message)
  }

  async remove(clientId: string): Promise<void> {
    this.#messages.delete(clientId)
  }
}

/** One item a message, never a list in one item: a read-change-write of two tabs would lose the message of one. */
export class LocalStorage implements OutboxStorage {
  readonly #items: Storage
  readonly #prefix: string

  constructor(items: Storage = localStorage, prefix = 'parley.outbox.') {
    this.#items = items
    this.#prefix = prefix
  }

  async list(): Promise<StoredMessage[]> {
    const keys = Array.from({ length: this.#items.length }, (_, index) => this.#items.key(index) ?? '')
    return keys.filter((key) => key.startsWith(this.#prefix)).flatMap((key) => this.#read(key))
  }

  async has(clientId: string): Promise<boolean> {
    return this.#items.getItem(this.#prefix + clientId) !== null
  }

  async put(message: StoredMessage): Promise<void> {
    this.#items.setItem(this.#prefix + message.clientId, JSON.stringify(message))
  }

  async remove(clientId: string): Promise<void> {
    this.#items.removeItem(this.#prefix + clientId)
  }

  /** What another program wrote under our prefix must not take the rest of the outbox down with it. */
  #read(key: string): StoredMessage[] {
    try {
      const message: unknown = JSON.parse(this.#items.getItem(key) ?? 'null')
      return typeof message === 'object' && message !== null && 'clientId' in message ? [message as StoredMessage] : []
    } catch {
      return []
    }
  }
}

export class IndexedDbStorage implements OutboxStorage {
  readonly #factory: IDBFactory
  readonly #name: string
  #opened: Promise<IDBDatabase> | null = null

  constructor(factory: IDBFactory = indexedDB, name = 'parley') {
    this.#factory = factory
    this.#name = name
  }

  async list(): Promise<StoredMessage[]> {
    return this.#run('readonly', (store) => store.getAll() as IDBRequest<StoredMessage[]>)
  }

  async has(clientId: string): Promise<boolean> {
    return (await this.#run('readonly', (store) => store.count(clientId))) > 0
  }

  async put(message: StoredMessage): Promise<void> {
    await this.#run('readwrite', (store) => store.put(message))
  }

  async remove(clientId: string): Promise<void> {
    await this.#run('readwrite', (store) => store.delete(clientId))
  }

  /** Resolves when the transaction is complete, not when the request has succeeded: only then is it on the disk. */
  async #run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const database = await this.#open()
    return new Promise((resolve, reject) => {
      const transaction = database.transaction('outbox', mode)
      const request = ask(transaction.objectStore('outbox'))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'))
    })
  }

  #open(): Promise<IDBDatabase> {
    this.#opened ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = this.#factory.open(this.#name, 1)
      request.onupgradeneeded = () => request.result.createObjectStore('outbox', { keyPath: 'clientId' })
      request.onerror = () => reject(request.error)
      request.onblocked = () => reject(new Error('another tab holds an older version open'))
      request.onsuccess = () => {
        const forget = () => (this.#opened = null)
        // Closed by the browser, or wanted by a newer page: the next call opens it anew.
        request.result.onclose = forget
        request.result.onversionchange = () => (request.result.close(), forget())
        resolve(request.result)
      }
    }).catch((error: unknown) => {
      this.#opened = null
      throw error
    })
    return this.#opened
  }
}

/** The first of these that works, found out at the first call: some browsers have IndexedDB and refuse it in private windows. */
class FirstThatWorks implements OutboxStorage {
  readonly #candidates: readonly (() => OutboxStorage)[]
  #chosen: Promise<OutboxStorage> | null = null

  constructor(candidates: readonly (() => OutboxStorage)[]) {
    this.#candidates = candidates
  }

  list = async () => (await this.#choose()).list()
  has = async (clientId: string) => (await this.#choose()).has(clientId)
  put = async (message: StoredMessage) => (await this.#choose()).put(message)
  remove = async (clientId: string) => (await this.#choose()).remove(clientId)

  #choose(): Promise<OutboxStorage> {
    this.#chosen ??= (async () => {
      for (const make of this.#candidates) {
        try {
          const storage = make()
          await storage.list()
          return storage
        } catch {
          // The next one is the answer to that.
        }
      }
      return new MemoryStorage()
    })()
    return this.#chosen
  }
}

/** IndexedDB, else localStorage, else memory. A missing one is a ReferenceError, which counts as one that does not work. */
export function defaultStorage(): OutboxStorage {
  const page = globalThis as { window?: unknown }
  // Node has a localStorage of its own that writes to a file only when told to, and warns otherwise.
  if (page.window === undefined) return new MemoryStorage()
  return new FirstThatWorks([() => new IndexedDbStorage(), () => new LocalStorage()])
}
