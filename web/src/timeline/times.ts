/** Times in the reader's words and zone. Formatters are slow to make and are kept per locale. */

const formatters = new Map<string, Intl.DateTimeFormat>()

function format(at: string | Date, locale: string, options: Intl.DateTimeFormatOptions): string {
  const key = locale + JSON.stringify(options)
  let formatter = formatters.get(key)
  if (!formatter) formatters.set(key, (formatter = new Intl.DateTimeFormat(locale, options)))
  return formatter.format(new Date(at))
}

/** A day in the reader's zone, as something to compare: `2026-11-21`. */
export function dayKey(at: string | Date): string {
  const date = new Date(at)
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`
}

function daysBetween(earlier: Date, later: Date): number {
  const midnight = (date: Date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate())
  return Math.round((midnight(later) - midnight(earlier)) / 86_400_000)
}

/** `14:05`, beside a message. */
export function clockTime(at: string | Date, locale: string): string {
  return format(at, locale, { hour: '2-digit', minute: '2-digit' })
}

/** Everything there is to know, shown on hover. */
export function fullTime(at: string | Date, locale: string): string {
  return format(at, locale, { dateStyle: 'full', timeStyle: 'medium' })
}

/** `21 November 2026, 14:05`, for a moment on its own. */
export function dateTime(at: string | Date, locale: string): string {
  return format(at, locale, { dateStyle: 'medium', timeStyle: 'short' })
}

/** The separator between days; `today` and `yesterday` are the caller's words. */
export function dayName(at: string | Date, now: Date, locale: string, words: { today: string; yesterday: string }): string {
  const date = new Date(at)
  const days = daysBetween(date, now)
  if (days === 0) return words.today
  if (days === 1) return words.yesterday
  if (days > 1 && days < 7) return format(date, locale, { weekday: 'long' })
  const sameYear = date.getFullYear() === now.getFullYear()
  return format(date, locale, sameYear ? { day: 'numeric', month: 'long' } : { day: 'numeric', month: 'long', year: 'numeric' })
}

/** Relative within a day, absolute after. */
export function listTime(at: string | Date, now: Date, locale: string): string {
  const date = new Date(at)
  const minutes = Math.max(0, Math.floor((now.getTime() - date.getTime()) / 60_000))
  if (minutes < 24 * 60) {
    const relative = new Intl.RelativeTimeFormat(locale, { style: 'narrow', numeric: 'auto' })
    if (minutes < 1) return relative.format(0, 'second')
    return minutes < 60 ? relative.format(-minutes, 'minute') : relative.format(-Math.floor(minutes / 60), 'hour')
  }
  const sameYear = date.getFullYear() === now.getFullYear()
  return format(date, locale, sameYear ? { day: 'numeric', month: 'short' } : { dateStyle: 'short' })
}
