import type { EventEntry } from '@parley/sdk'
import type { ShownMessage } from '../message/shown'
import { dayKey } from './times'

/** A sender's messages stand together while less than this lies between one and the next. */
const GROUP_MS = 5 * 60_000

export interface DayLine {
  type: 'day'
  key: string
  at: string
}

export interface UnreadLine {
  type: 'unread'
  key: 'unread'
}

export interface MessageLine {
  type: 'message'
  key: string
  message: ShownMessage
  /** The first of its sender's group carries the name, the last the corner. */
  first: boolean
  last: boolean
}

export interface EventLine {
  type: 'event'
  key: string
  entry: EventEntry
}

export type Line = DayLine | UnreadLine | MessageLine | EventLine

/** What happened, in the order of the log; what is not stored yet comes last. */
export type Happening = { message: ShownMessage; entry?: undefined } | { entry: EventEntry; message?: undefined }

function belongs(previous: ShownMessage, message: ShownMessage): boolean {
  return previous.by === message.by && Math.abs(Date.parse(message.at) - Date.parse(previous.at)) < GROUP_MS
}

/**
 * What stands in the timeline, from the top down: groups, day separators, the unread line.
 * That line comes before the first message of another person above `unreadAfter`; null for no line.
 */
export function toLines(happenings: readonly Happening[], unreadAfter: number | null): Line[] {
  const lines: Line[] = []
  let day = ''
  let unreadShown = unreadAfter === null
  let open: MessageLine | null = null

  for (const { message, entry } of happenings) {
    const at = message ? message.at : entry.at
    const today = dayKey(at)
    if (today !== day) {
      day = today
      open = null
      // The clock may step back, and a day come twice.
      lines.push({ type: 'day', key: `day ${today} ${lines.length === 0 ? '' : (message?.key ?? entry!.seq)}`, at })
    }
    if (entry) {
      open = null
      lines.push({ type: 'event', key: `event ${entry.seq}`, entry })
      continue
    }
    if (!unreadShown && !message.own && message.seq !== null && message.seq > unreadAfter!) {
      unreadShown = true
      open = null
      lines.push({ type: 'unread', key: 'unread' })
    }
    const joins: boolean = open !== null && belongs(open.message, message)
    if (joins) open!.last = false
    open = { type: 'message', key: message.key, message, first: !joins, last: true }
    lines.push(open)
  }
  return lines
}
