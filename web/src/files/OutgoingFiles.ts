/**
 * Messages that wait for their files: shown at once, kept over a reload, handed to the outbox when the last file is stored.
 *
 * A text overtakes them; among each other the messages of a conversation keep the order in which they were sent, as long as nothing holds
 * one up (paused, failed, bytes missing). The outbox gets the message under the same client_id each time, so a repeated hand-over is harmless.
 */
import { ParleyError, type ConversationId, type Draft, type MessageId, type MessageKind, type UserId } from '@parley/sdk'
import { reactive, shallowReactive } from 'vue'
import type { FilesStorage, StoredFile, StoredFileMessage } from './filesStorage'
import { kindOf, type ChosenFile, type FileMessage, type OutgoingFile } from './outgoing'
import { UploadQueue, type Transport, type UploadView } from './UploadQueue'

/** Most messages that wait for files at once. */
const MESSAGES_AT_MOST = 100

export interface OutgoingOptions {
  userId: UserId
  storage: FilesStorage
  transport: Transport
  newId: () => string
  now: () => number
  /** Put it in the outbox; throws when that is full. */
  hand: (draft: Draft) => void
  /** The id of the file at an upload's address. */
  fileId: (url: string) => string
  /** Tell the server that an upload is not wanted any more. */
  giveUp: (url: string) => void
  /** Resolves when no other tab works on it. */
  alone: (name: string, signal: AbortSignal) => Promise<void>
  /** The storage said no: nothing is lost yet, but would be by a reload. */
  storageFailed: (cause: unknown) => void
}

export interface NewFileMessage {
  conversationId: ConversationId
  text: string
  replyTo: MessageId | null
  files: readonly ChosenFile[]
}

interface Entry {
  stored: StoredFileMessage
  shown: FileMessage
  /** In the outbox. It is kept here until that has sent it. */
  handed: boolean
  hold: AbortController
}

export class OutgoingFiles {
  /** In send order. */
  readonly messages = shallowReactive(new Map<string, FileMessage>())
  readonly #options: OutgoingOptions
  readonly #queue: UploadQueue
  readonly #entries = new Map<string, Entry>()
  readonly #files = new Map<string, { clientId: string; file: OutgoingFile; stored: StoredFile }>()
  #writing: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: OutgoingOptions) {
    this.#options = options
    this.#queue = new UploadQueue(options.transport, (view) => this.#moved(view))
  }

  /** Take up what an earlier page has left behind. */
  async restore(): Promise<void> {
    const all = await this.#options.storage.list()
    for (const stored of all) {
      if (stored.userId !== this.#options.userId || this.#entries.has(stored.clientId) || this.#closed) continue
      const entry = this.#enter(stored, new Map())
      void this.#whenAlone(entry, async () => {
        // Another tab may have sent or discarded it while this one waited.
        if (!(await this.#options.storage.has(stored.clientId))) return this.forget(stored.clientId)
        for (const file of stored.files) this.#begin(file, file.done ? null : await this.#options.storage.bytes(file.key), entry)
        this.settle()
      })
    }
  }

  /** Throws `outbox_full`. */
  send({ conversationId, text, replyTo, files }: NewFileMessage): void {
    if (this.#entries.size >= MESSAGES_AT_MOST) throw ParleyError.local('outbox_full')
    const stored: StoredFileMessage = {
      clientId: this.#options.newId(),
      userId: this.#options.userId,
      conversationId,
      kind: kindOf(files.map(({ facts }) => facts)),
      text,
      replyTo,
      createdAt: this.#options.now(),
      files: files.map(({ facts }) => ({ ...facts, key: this.#options.newId(), url: null, done: false, paused: false })),
    }
    const bytes = new Map(stored.files.map((file, index) => [file.key, files[index]!.bytes]))
    const entry = this.#enter(stored, bytes)
    this.#write(async (storage) => {
      for (const [key, blob] of bytes) await storage.keep(key, blob)
      await storage.put(stored)
    })
    void this.#whenAlone(entry, async () => {
      for (const file of stored.files) this.#begin(file, bytes.get(file.key)!, entry)
    })
  }

  pause(key: string): void {
    this.#queue.pause(key)
  }

  /** Go on, or try again. */
  resume(key: string): void {
    this.#queue.resume(key)
  }

  /** True when these are the bytes that are missing, as far as name and size tell. */
  give(key: string, bytes: File): boolean {
    const found = this.#files.get(key)
    if (!found || found.file.name !== bytes.name || found.file.size !== bytes.size) return false
    found.file.preview = previewOf(found.file, bytes)
    this.#write(async (storage) => void (await storage.keep(key, bytes)))
    this.#queue.give(key, bytes)
    return true
  }

  /** Without this file. A message of which nothing is left is discarded. */
  cancel(key: string): void {
    const found = this.#files.get(key)
    const entry = found && this.#entries.get(found.clientId)
    if (!found || !entry || entry.handed) return
    const rest = entry.stored.files.filter((file) => file.key !== key)
    if (rest.length === 0 && !entry.stored.text) return this.discard(entry.stored.clientId)
    this.#leave(key)
    if (found.stored.url) this.#options.giveUp(found.stored.url)
    const kind: MessageKind = rest.length === 0 ? 'text' : kindOf(rest)
    this.#change(entry, { ...entry.stored, files: rest, kind })
    this.#write((storage) => storage.drop(key))
    this.settle()
  }

  /** Give the message and its files up. */
  discard(clientId: string): void {
    const entry = this.#entries.get(clientId)
    if (!entry) return
    for (const file of entry.stored.files) if (file.url) this.#options.giveUp(file.url)
    this.forget(clientId)
  }

  /** It is in the log, or given up: nothing of it is needed any more. */
  forget(clientId: string): void {
    const entry = this.#entries.get(clientId)
    if (!entry) return
    for (const file of entry.stored.files) this.#leave(file.key)
    this.#entries.delete(clientId)
    this.messages.delete(clientId)
    // The lock is let go only when the storage knows: who waits for it must find the message gone.
    void this.#write((storage) => storage.remove(entry.stored)).then(() => entry.hold.abort())
    this.settle()
  }

  /** The connection is back. */
  wake(): void {
    this.#queue.wake()
    this.settle()
  }

  close(): void {
    this.#closed = true
    this.#queue.close()
    for (const entry of this.#entries.values()) {
      for (const file of entry.stored.files) this.#leave(file.key)
      entry.hold.abort()
    }
    this.#entries.clear()
    this.messages.clear()
  }

  /** Resolves when all that was to be stored is. */
  settled(): Promise<unknown> {
    return this.#writing
  }

  #enter(stored: StoredFileMessage, bytes: ReadonlyMap<string, Blob>): Entry {
    const files = stored.files.map((file) => {
      const shown = reactive<OutgoingFile>({
        ...factsOf(file),
        key: file.key,
        preview: previewOf(file, bytes.get(file.key) ?? null),
        state: file.done ? 'done' : file.paused ? 'paused' : 'waiting',
        sent: file.done ? file.size : 0,
        error: null,
      })
      this.#files.set(file.key, { clientId: stored.clientId, file: shown, stored: file })
      return shown
    })
    const entry: Entry = { stored, shown: showing(stored, files), handed: false, hold: new AbortController() }
    this.#entries.set(stored.clientId, entry)
    this.messages.set(stored.clientId, entry.shown)
    return entry
  }

  async #whenAlone({ stored, hold }: Entry, work: () => Promise<void>): Promise<void> {
    try {
      await this.#options.alone(`parley.files.${stored.clientId}`, hold.signal)
      await work()
    } catch (cause) {
      // Given up while it waited for its turn.
      if (!hold.signal.aborted) this.#options.storageFailed(cause)
    }
  }

  #begin(file: StoredFile, bytes: Blob | null, { stored }: Entry): void {
    const found = this.#files.get(file.key)
    if (!found || file.done) return
    found.file.preview ??= previewOf(file, bytes)
    const { name, durationMs, waveform } = file
    const about = {
      name,
      conversationId: stored.conversationId,
      ...(durationMs === undefined ? {} : { durationMs }),
      ...(waveform === undefined ? {} : { waveform }),
    }
    this.#queue.add({ key: file.key, about, bytes, url: file.url, paused: file.paused })
  }

  #moved({ key, state, sent, error, url }: UploadView): void {
    const found = this.#files.get(key)
    if (!found) return
    Object.assign(found.file, { state, sent, error })
    const { stored } = found
    const paused = state === 'paused'
    const done = state === 'done'
    if (stored.url === url && stored.done === done && stored.paused === paused) return
    Object.assign(stored, { url, done, paused })
    const entry = this.#entries.get(found.clientId)!
    this.#write((storage) => storage.put(plain(entry.stored)))
    if (done) this.settle()
  }

  /** Hand over what is complete, in each conversation the first first. The outbox may have room again. */
  settle(): void {
    const held = new Set<ConversationId>()
    for (const entry of [...this.#entries.values()]) {
      const { conversationId, files } = entry.stored
      if (entry.handed || held.has(conversationId)) continue
      if (files.every((file) => file.done)) this.#hand(entry)
      else if (entry.shown.files.some(({ state }) => state === 'waiting' || state === 'sending')) held.add(conversationId)
    }
  }

  #hand(entry: Entry): void {
    const { clientId, conversationId, kind, text, replyTo, files } = entry.stored
    const attachments = files.map((file) => this.#options.fileId(file.url!))
    entry.handed = true
    try {
      this.#options.hand({ clientId, conversationId, kind, text, ...(replyTo === null ? {} : { replyTo }), attachments })
    } catch {
      // The outbox is full: `wake` tries again.
      entry.handed = false
    }
  }

  #change(entry: Entry, stored: StoredFileMessage): void {
    entry.stored = stored
    entry.shown = showing(stored, entry.shown.files.filter(({ key }) => stored.files.some((file) => file.key === key)))
    this.messages.set(stored.clientId, entry.shown)
    this.#write((storage) => storage.put(plain(stored)))
  }

  #leave(key: string): void {
    this.#queue.remove(key)
    const preview = this.#files.get(key)?.file.preview
    if (preview) URL.revokeObjectURL(preview)
    this.#files.delete(key)
  }

  /** One after the other, so that a removal cannot be overtaken by the writing before it. */
  #write(work: (storage: FilesStorage) => Promise<void>): Promise<void> {
    const next = this.#writing.then(() => work(this.#options.storage)).catch((cause: unknown) => this.#options.storageFailed(cause))
    this.#writing = next
    return next
  }
}

function factsOf({ key: _k, url: _u, done: _d, paused: _p, ...facts }: StoredFile) {
  return facts
}

function showing({ clientId, conversationId, kind, text, replyTo, createdAt }: StoredFileMessage, files: readonly OutgoingFile[]): FileMessage {
  return { clientId, conversationId, kind, text, replyTo, createdAt, files }
}

/** As it stands now; what is written later may have changed again. */
function plain(message: StoredFileMessage): StoredFileMessage {
  return { ...message, files: message.files.map((file) => ({ ...file })) }
}

function previewOf({ width, waveform }: { width?: number; waveform?: readonly number[] }, bytes: Blob | null): string | null {
  return bytes && (width !== undefined || waveform) ? URL.createObjectURL(bytes) : null
}
