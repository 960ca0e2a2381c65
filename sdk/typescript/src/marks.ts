/** Read marks: merged per conversation while one is on its way, and said again after a reconnect. They never go back. */
import type { Commands } from './commands.js'
import type { ConversationId, Seq } from './types.js'

interface Mark {
  seq: Seq
  deliveredSeq: Seq
  waiters: { resolve: () => void; reject: (error: unknown) => void }[]
}

export class Marks {
  readonly #commands: Commands
  readonly #wanted = new Map<ConversationId, Mark>()
  readonly #busy = new Set<ConversationId>()

  constructor(commands: Commands) {
    this.#commands = commands
  }

  mark(id: ConversationId, seq: Seq, deliveredSeq: Seq = seq): Promise<void> {
    return new Promise((resolve, reject) => {
      const mark = this.#wanted.get(id) ?? { seq: 0, deliveredSeq: 0, waiters: [] }
      mark.seq = Math.max(mark.seq, seq)
      mark.deliveredSeq = Math.max(mark.deliveredSeq, deliveredSeq, seq)
      mark.waiters.push({ resolve, reject })
      this.#wanted.set(id, mark)
      if (!this.#busy.has(id)) void this.#say(id)
    })
  }

  async #say(id: ConversationId): Promise<void> {
    this.#busy.add(id)
    for (let mark = this.#wanted.get(id); mark; mark = this.#wanted.get(id)) {
      this.#wanted.delete(id)
      const { seq, deliveredSeq, waiters } = mark
      try {
        const payload = { conversation_id: id, seq, ...(deliveredSeq > seq ? { delivered_seq: deliveredSeq } : {}) }
        await this.#commands.repeat('read.mark', payload, { timeoutMs: 0 })
        for (const { resolve } of waiters) resolve()
      } catch (error) {
        for (const { reject } of waiters) reject(error)
      }
    }
    this.#busy.delete(id)
  }
}
