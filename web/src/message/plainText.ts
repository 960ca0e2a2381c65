/** One line for a preview: the words without the marks. */
export function plainText(text: string, chars = 400): string {
  return text
    .slice(0, chars)
    .replace(/```\w*\n?/g, ' ')
    .replace(/\[([^\]]+)\]\((?:https?|mailto):[^)]*\)/g, '$1')
    .replace(/^\s{0,3}(?:#{1,6}|>)\s+/gm, '')
    .replace(/(\*\*|__|~~|`)(\S(?:.*?\S)?)\1/g, '$2')
    .replace(/\s+/g, ' ')
    .trim()
}
