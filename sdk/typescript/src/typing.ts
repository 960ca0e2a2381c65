/** "… is typing": told at most once in 3 s, since it holds for 6 s at the other end. */
import type { Commands } from './commands.js'
import type { ConversationId } from './types.js'

export const TYPING_EVERY_MS = 3000

export class TypingSignals {
  readonly #commands: Commands
  readonly #told = new Map<ConversationId, ReturnType<typeof setTimeout>>()

  constructor(commands: Commands) {
    this.#commands = commands
  }

  async set(id: ConversationId, isTyping: boolean): Promise<void> {
    const told = this.#told.has(id)
    // A stop nobody was told the start of is no news.
    if (told === isTyping) return
    this.sent(id)
    if (isTyping) this.#told.set(id, setTimeout(() => this.#told.delete(id), TYPING_EVERY_MS))
    await this.#commands.once('typing.set', { conversation_id: id, is_typing: isTyping }).catch(() => {})
  }

  /** The message is out and says the same as a stop. */
  sent(id: ConversationId): void {
    clearTimeout(this.#told.get(id))
    this.#told.delete(id)
  }
}
