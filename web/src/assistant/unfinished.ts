/** A text that grows, as it will probably look: what has been opened and not closed yet is closed for the time being. Pure. */

const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/

/** Whether the text ends inside a block of code, and where what comes after the last whole one begins. */
export function scanCode(text: string): { open: boolean; after: number } {
  let marks = ''
  let after = 0
  let at = 0
  for (const line of text.split('\n')) {
    at += line.length + 1
    const [, found, rest] = FENCE.exec(line) ?? []
    if (found === undefined) continue
    if (marks) {
      const closes = found[0] === marks[0] && found.length >= marks.length && rest!.trim() === ''
      if (!closes) continue
      marks = ''
      after = Math.min(at, text.length)
    } else if (found[0] === '~' || !rest!.includes('`')) marks = found // Backticks behind backticks are a code span in a line.
  }
  return { open: marks !== '', after }
}

const count = (text: string, mark: string) => text.split(mark).length - 1

/** Nothing flickers: no half marks are shown, and a word is bold from its first letter on. */
export function closeUnfinished(text: string): string {
  const { open, after } = scanCode(text)
  // The end of a fence may be on its way.
  if (open) return text.replace(/\n[ \t]*(?:`{1,2}|~{1,2})$/, '')
  const start = Math.max(text.lastIndexOf('\n\n') + 1, after)
  const last = closeLink(text.slice(start).replace(/[*_~`]+$/, ''))
  return text.slice(0, start) + closeMarks(last)
}

/** Of a link whose address is still coming, its words. */
function closeLink(last: string): string {
  return last.replace(/\[([^\][\n]*)(?:\](?:\([^)\s]*)?)?$/, '$1')
}

function closeMarks(last: string): string {
  if (count(last, '`') % 2 === 1) return `${last}\``
  const prose = last.replace(/`[^`]*`/g, '')
  const open = ['**', '~~'].filter((mark) => count(prose, mark) % 2 === 1).sort((a, b) => last.lastIndexOf(b) - last.lastIndexOf(a))
  return open.length > 0 ? last.trimEnd() + open.join('') : last
}
