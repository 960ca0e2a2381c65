/**
 * Catching up. After every welcome the client says where it stands, and afterwards it watches, by arithmetic, that nothing is missing.
 *
 * A conversation is *asked for* from a resume until its ack. Entries beyond a hole are not an alarm in that time, since the answer may
 * fill it; outside of it, a hole asks for the missing range at once.
 */
import type { Commands } from './commands.js'
import { Cursors } from './cursors.js'
import { ParleyError, asParleyError } from './errors.js'
import type { Conversation, ConversationId, Entry, EventMap, EventName, NewEntries, Seq, UserId, Welcome } from './types.js'
import { pause } from './wait.js'

/** Cursors in one frame: 1000 are about 25 KB, well below the smallest sensible frame_bytes. */
const CURSORS_PER_FRAME = 1000
/** A hole that so many resumes in a row did not fill is given up: the conversation is reset, and its snapshot heals it. */
const PATIENT_RESUMES = 3

export interface ResumeOptions {
  commands: Commands
  emit: <E extends EventName>(event: E, value: EventMap[E]) => void
  /** What is owed and does not come within this is asked for again. */
  patienceMs: number
  /** The server will not have this resume: leave this connection and come back. */
  fail: () => void
}

export interface ResumeStats {
  /** Entries heard again and dropped. */
  repeats: number
  /** Holes found, before or at the end of what was heard. */
  holes: number
  /** `resume` commands sent. */
  resumes: number
  /** Conversations whose local copy had to go. */
  resets: number
}

interface ResumeAnswer {
  live: Record<ConversationId, Seq>
  reset: Record<ConversationId, Seq>
  gone: ConversationId[]
}

export class Resume {
  readonly stats: ResumeStats = { repeats: 0, holes: 0, resumes: 0, resets: 0 }
  readonly #options: ResumeOptions
  readonly #cursors = new Cursors()
  /** The history the cursors belong to. */
  #epoch: string | null = null
  #user: UserId | null = null
  readonly #asked = new Set<ConversationId>()
  /** Those with a hole seen while they were asked for. */
  readonly #suspects = new Set<ConversationId>()
  /** The highest seq known to exist, of those that are behind it. */
  readonly #owed = new Map<ConversationId, Seq>()
  /** Resumes in a row that brought nothing. */
  readonly #fruitless = new Map<ConversationId, number>()
  #connection = new AbortController()
  #watch: ReturnType<typeof setTimeout> | undefined
  /** Log frames heard, so that a long catching-up is not taken for a stuck one. */
  #heard = 0

  constructor(options: ResumeOptions) {
    this.#options = options
  }

  /** Say where we stand; `settled` is called once all of it is answered. */
  begin(welcome: Welcome, settled: () => void): void {
    this.lost()
    this.#connection = new AbortController()
    if (this.#user !== welcome.user.id) {
      this.#cursors.clear()
      this.#epoch = null
    }
    this.#user = welcome.user.id
    this.#epoch ??= welcome.epoch
    for (const { id, head } of welcome.conversations) {
      // Named although it is live from its head anyway: then even what happens between welcome and resume cannot slip through.
      if (this.#cursors.get(id) === undefined) this.#cursors.set(id, head)
    }
    const ids = this.#cursors.ids()
    const asks: Promise<boolean>[] = []
    do asks.push(this.#ask(ids.splice(0, CURSORS_PER_FRAME)))
    while (ids.length > 0)
    void Promise.all(asks).then((answered) => {
      if (!answered.every(Boolean)) return
      // Not before all are answered: after a cut in between, those that were not must still be reset by the old epoch.
      this.#epoch = welcome.epoch
      settled()
    })
  }

  /** The fresh part of what came; the rest is a repeat, or has to wait for what is missing before it. */
  heard({ conversation_id: id, entries, head }: NewEntries): Entry[] {
    this.#heard += 1
    const { fresh, repeats, hole } = this.#cursors.take(id, entries)
    this.stats.repeats += repeats
    if (fresh.length > 0) this.#fruitless.delete(id)
    this.owed(id, Math.max(head ?? 0, entries.at(-1)?.seq ?? 0))
    if (hole) {
      if (this.#asked.has(id)) this.#suspects.add(id)
      else this.#fill(id)
    }
    return fresh
  }

  /** Something says that this conversation reaches up to `seq`: its entries must come, or they will be asked for. */
  owed(id: ConversationId, seq: Seq): void {
    const cursor = this.#cursors.get(id)
    if (cursor === undefined) return
    const owed = Math.max(seq, this.#owed.get(id) ?? 0)
    if (owed > cursor) this.#owed.set(id, owed)
    else this.#owed.delete(id)
    this.#keepWatch()
  }

  /** Somebody holds a snapshot at `head`: entries are wanted from there, also after a reconnect. */
  follow(id: ConversationId, head: Seq): void {
    if (this.#cursors.get(id) === undefined) this.#cursors.set(id, head)
  }

  added({ id, head }: Conversation): void {
    const cursor = this.#cursors.get(id)
    if (cursor === undefined) this.#cursors.set(id, head)
    else if (cursor < head && !this.#asked.has(id)) void this.#ask([id])
  }

  removed(id: ConversationId): void {
    this.#cursors.forget(id)
    for (const memory of [this.#asked, this.#suspects, this.#owed, this.#fruitless]) memory.delete(id)
    this.#options.emit('conversation.removed', { conversation_id: id })
  }

  /** The cursors stay: they are what the next welcome is answered with. */
  lost(): void {
    this.#connection.abort()
    clearTimeout(this.#watch)
    this.#watch = undefined
    for (const memory of [this.#asked, this.#suspects, this.#owed, this.#fruitless]) memory.clear()
  }

  /** True when it was answered. Never rejects. */
  async #ask(ids: ConversationId[]): Promise<boolean> {
    const { signal } = this.#connection
    for (const id of ids) this.#asked.add(id)
    this.#keepWatch()
    while (!signal.aborted) {
      const cursors = Object.fromEntries(ids.flatMap((id) => {
        const seq = this.#cursors.get(id)
        return seq === undefined ? [] : [[id, seq]]
      }))
      this.stats.resumes += 1
      try {
        // No timeout: pages may take long on a slow line. `#look` asks again when nothing comes at all.
        const answer = await this.#options.commands.ask('resume', { epoch: this.#epoch, cursors }, { signal, timeoutMs: 0 })
        if (!signal.aborted) this.#answered(ids, answer as ResumeAnswer)
        return true
      } catch (thrown) {
        const error = asParleyError(thrown)
        if (signal.aborted || error.name === 'disconnected') return false
        this.#options.emit('error', error)
        if (!error.retryable) this.#options.fail()
        else await pause(error.retryAfterMs ?? 1000, signal).catch(() => {})
      }
    }
    return false
  }

  #answered(ids: ConversationId[], { live, reset, gone }: ResumeAnswer): void {
    for (const id of ids) this.#asked.delete(id)
    for (const [id, head] of Object.entries(reset ?? {})) this.#reset(id, head)
    for (const id of gone ?? []) this.removed(id)
    for (const [id, seq] of Object.entries(live ?? {})) this.owed(id, seq)
    for (const id of ids) {
      // Entries that were dropped beyond a hole while the answer was on its way.
      if (this.#suspects.delete(id) && this.#owed.has(id)) this.#fill(id)
    }
  }

  #reset(id: ConversationId, head: Seq): void {
    this.stats.resets += 1
    this.#cursors.set(id, head)
    this.owed(id, head)
    this.#options.emit('reset', { conversation_id: id, head })
  }

  #fill(id: ConversationId): void {
    this.stats.holes += 1
    const tries = (this.#fruitless.get(id) ?? 0) + 1
    this.#fruitless.set(id, tries)
    if (tries <= PATIENT_RESUMES) return void this.#ask([id])
    this.#fruitless.delete(id)
    this.#options.emit('error', ParleyError.local('log_hole', undefined, `Conversation ${id} has a hole after ${this.#cursors.get(id)}.`))
    this.#reset(id, this.#owed.get(id) ?? this.#cursors.get(id) ?? 0)
  }

  /** Look again after a while, as long as anything is outstanding. */
  #keepWatch(): void {
    if (this.#watch !== undefined || this.#connection.signal.aborted) return
    if (this.#asked.size === 0 && this.#owed.size === 0) return
    const before = this.#heard
    const stood = new Map([...this.#owed.keys()].map((id) => [id, this.#cursors.get(id)]))
    const asked = [...this.#asked]
    this.#watch = setTimeout(() => {
      this.#watch = undefined
      this.#look(before === this.#heard ? asked : [], stood)
      this.#keepWatch()
    }, this.#options.patienceMs)
  }

  /** `silent`: asked for, and no log frame came at all since. `stood`: where those that were owed something stood. */
  #look(silent: ConversationId[], stood: Map<ConversationId, Seq | undefined>): void {
    const unanswered = silent.filter((id) => this.#asked.has(id))
    // The answer was lost on the way; a second one does no harm.
    if (unanswered.length > 0) void this.#ask(unanswered)
    for (const [id, at] of stood) {
      if (this.#owed.has(id) && !this.#asked.has(id) && this.#cursors.get(id) === at) this.#fill(id)
    }
  }
}
