/** Where messages that wait for their files survive a reload: what they are in one store, the bytes in another. */
import type { ConversationId, MessageId, MessageKind, UserId } from '@parley/sdk'
import type { FileFacts } from './outgoing'

/** Larger files are not copied into the browser's storage; after a reload they are asked for again. */
const LARGEST_KEPT = 512 * 1024 * 1024

export interface StoredFile extends FileFacts {
  key: string
  /** Where its upload is, once it has begun. */
  url: string | null
  done: boolean
  paused: boolean
}

/** Plain JSON. */
export interface StoredFileMessage {
  clientId: string
  /** Another account signed in from the same browser neither sees nor sends it. */
  userId: UserId
  conversationId: ConversationId
  kind: MessageKind
  text: string
  replyTo: MessageId | null
  createdAt: number
  files: StoredFile[]
}

/** Several tabs use it at once. Every call may reject; the message then still goes out, and is lost only by a reload. */
export interface FilesStorage {
  /** All messages, of every account, oldest first. */
  list(): Promise<StoredFileMessage[]>
  has(clientId: string): Promise<boolean>
  put(message: StoredFileMessage): Promise<void>
  /** The message and the bytes of its files. */
  remove(message: Pick<StoredFileMessage, 'clientId' | 'files'>): Promise<void>
  /** False for what is too large to be kept. */
  keep(key: string, bytes: Blob): Promise<boolean>
  /** Null when they were not kept. */
  bytes(key: string): Promise<Blob | null>
  drop(key: string): Promise<void>
}

export class IndexedDbFiles implements FilesStorage {
  readonly #factory: IDBFactory
  #opened: Promise<IDBDatabase> | null = null

  constructor(factory: IDBFactory = indexedDB) {
    this.#factory = factory
  }

  async list(): Promise<StoredFileMessage[]> {
    const all = await this.#run('messages', 'readonly', (store) => store.getAll() as IDBRequest<StoredFileMessage[]>)
    return all.sort((a, b) => a.createdAt - b.createdAt || (a.clientId < b.clientId ? -1 : 1))
  }

  async has(clientId: string): Promise<boolean> {
    return (await this.#run('messages', 'readonly', (store) => store.count(clientId))) > 0
  }

  async put(message: StoredFileMessage): Promise<void> {
    await this.#run('messages', 'readwrite', (store) => store.put(message))
  }

  async remove({ clientId, files }: Pick<StoredFileMessage, 'clientId' | 'files'>): Promise<void> {
    // The message first: bytes without one are only room, a message without its bytes would ask the reader for them.
    await this.#run('messages', 'readwrite', (store) => store.delete(clientId))
    for (const { key } of files) await this.drop(key)
  }

  async keep(key: string, bytes: Blob): Promise<boolean> {
    if (bytes.size > LARGEST_KEPT) return false
    await this.#run('bytes', 'readwrite', (store) => store.put(bytes, key))
    return true
  }

  async bytes(key: string): Promise<Blob | null> {
    return (await this.#run('bytes', 'readonly', (store) => store.get(key) as IDBRequest<Blob | undefined>)) ?? null
  }

  async drop(key: string): Promise<void> {
    await this.#run('bytes', 'readwrite', (store) => store.delete(key))
  }

  /** Resolves when the transaction is complete: only then is it on the disk. */
  async #run<T>(name: 'messages' | 'bytes', mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const database = await this.#open()
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(name, mode)
      const request = ask(transaction.objectStore(name))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'))
    })
  }

  #open(): Promise<IDBDatabase> {
    this.#opened ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = this.#factory.open('parley.files', 1)
      request.onupgradeneeded = () => {
        request.result.createObjectStore('messages', { keyPath: 'clientId' })
        request.result.createObjectStore('bytes')
      }
      request.onerror = () => reject(request.error)
      request.onblocked = () => reject(new Error('another tab holds an older version open'))
      request.onsuccess = () => {
        const forget = () => (this.#opened = null)
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
