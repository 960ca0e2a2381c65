/** Up to where each conversation's log has been heard. Contiguity is arithmetic: the next entry is cursor + 1, or it is a repeat, or there is a hole. */
import type { ConversationId, Entry, Seq } from './types.js'

export interface Taken {
  /** The entries right after the cursor, in order. */
  fresh: Entry[]
  /** How many were known already. */
  repeats: number
  /** Something is missing before an entry of these; that entry and those after it were not taken. */
  hole: boolean
}

export class Cursors {
  readonly #at = new Map<ConversationId, Seq>()

  get(conversation: ConversationId): Seq | undefined {
    return this.#at.get(conversation)
  }

  set(conversation: ConversationId, seq: Seq): void {
    this.#at.set(conversation, seq)
  }

  forget(conversation: ConversationId): void {
    this.#at.delete(conversation)
  }

  clear(): void {
    this.#at.clear()
  }

  ids(): ConversationId[] {
    return [...this.#at.keys()]
  }

  /** Advance over what follows. A conversation not known so far begins with the first entry heard of it. */
  take(conversation: ConversationId, entries: readonly Entry[]): Taken {
    const taken: Taken = { fresh: [], repeats: 0, hole: false }
    const first = entries[0]
    if (!first) return taken
    let at = this.#at.get(conversation) ?? first.seq - 1
    for (const entry of entries) {
      if (entry.seq <= at) taken.repeats += 1
      else if (entry.seq === at + 1) {
        at = entry.seq
        taken.fresh.push(entry)
      } else {
        taken.hole = true
        break
      }
    }
    this.#at.set(conversation, at)
    return taken
  }
}
