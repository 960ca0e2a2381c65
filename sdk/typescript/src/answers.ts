/**
 * An assistant's answers while they grow, put together from `ai.delta`s. Pure, save for the list of them at the end.
 *
 * Offsets count Unicode code points. What is held is always a beginning of the answer: a piece is joined only where it meets what is
 * there, so that nothing lost, repeated or late can show a wrong word. What is missing comes with the next piece from 0, or with the end.
 */
import type { AiDelta, Entry, MessageId } from './types.js'

/** The beginning of an answer. `points`: its length in code points. */
export interface GrowingAnswer {
  readonly text: string
  readonly points: number
}

const NOTHING: GrowingAnswer = { text: '', points: 0 }

/** What is held after one more piece; the same object when it brings nothing. */
export function growAnswer(held: GrowingAnswer | undefined, { offset, text }: Pick<AiDelta, 'offset' | 'text'>): GrowingAnswer {
  const before = held ?? NOTHING
  // All so far, in place of what one has; unless it is an old piece that has been heard already.
  if (offset === 0) return before.text.startsWith(text) ? before : { text, points: countPoints(text) }
  if (offset > before.points) return before
  const points = [...text]
  const known = before.points - offset
  if (known >= points.length) return before
  return { text: before.text + points.slice(known).join(''), points: offset + points.length }
}

function countPoints(text: string): number {
  let count = 0
  for (const _ of text) count += 1
  return count
}

/** More do not grow at once where one looks; the one that has been quiet for longest goes first. */
const MOST = 100

/** All answers that grow now, whether or not their conversation is open. */
export class Answers {
  readonly #held = new Map<MessageId, GrowingAnswer>()

  /** False: it brings nothing new. */
  heard(delta: AiDelta): boolean {
    const before = this.#held.get(delta.message_id)
    const after = growAnswer(before, delta)
    if (after === NOTHING) return false
    this.#held.delete(delta.message_id)
    this.#held.set(delta.message_id, after)
    if (this.#held.size > MOST) this.#held.delete(this.#held.keys().next().value as MessageId)
    return after !== before
  }

  /** Their end has all of it. */
  ended(entries: readonly Entry[]): void {
    if (this.#held.size === 0) return
    for (const entry of entries) {
      if (entry.kind === 'message.completed' || entry.kind === 'message.deleted') this.#held.delete(entry.message_id)
    }
  }

  /** Undefined until something of it was heard. */
  textOf(id: MessageId): string | undefined {
    return this.#held.get(id)?.text
  }

  clear(): void {
    this.#held.clear()
  }
}
