import type { ShownMessage } from './shown'

/** What the reader wants done with a message. One event carries them all up to the conversation, which does them. */
export type MessageIntent =
  | { type: 'react'; message: ShownMessage; emoji: string }
  | { type: 'reply' | 'edit' | 'delete' | 'pin' | 'copy' | 'retry' | 'discard' | 'stop'; message: ShownMessage }
  /** Ask the assistant once more what this message asks. */
  | { type: 'askAgain'; message: ShownMessage }
  /** Look at a picture. */
  | { type: 'view'; fileId: string }
  | { type: 'jump'; messageId: string }
