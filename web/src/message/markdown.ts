import DOMPurify from 'dompurify'
import MarkdownIt from 'markdown-it'

const md = new MarkdownIt({ html: false, linkify: true, breaks: true })

// A picture from elsewhere would tell its server who reads what; the page's policy refuses it anyway.
// An underlined line is not a heading: people draw lines below what they write.
md.disable(['image', 'lheading'])

// Only addresses with a scheme: `deploy.py` and `main.rs` are files, not sites in Paraguay and Serbia.
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false })

const openLink = md.renderer.rules.link_open
md.renderer.rules.link_open = (tokens, index, options, env, self) => {
  const token = tokens[index]!
  token.attrSet('target', '_blank')
  token.attrSet('rel', 'noopener noreferrer nofollow')
  return openLink ? openLink(tokens, index, options, env, self) : self.renderToken(tokens, index, options)
}

const ALLOWED = {
  ALLOWED_TAGS: [
    'a', 'blockquote', 'br', 'code', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'li', 'ol', 'p', 'pre', 's',
    'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul',
  ],
  ALLOWED_ATTR: ['href', 'target', 'rel', 'class', 'start'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
}

/** Texts rendered lately. Scrolling back and forth renders the same few hundred again and again. */
const cache = new Map<string, string>()
const CACHE_SIZE = 500

const sanitised = (html: string) => DOMPurify.sanitize(html, ALLOWED)

/** Safe HTML for what somebody wrote: markdown without HTML, and then sanitised all the same. */
export function renderMarkdown(text: string): string {
  const known = cache.get(text)
  if (known !== undefined) return known
  const html = sanitised(md.render(text))
  if (cache.size >= CACHE_SIZE) cache.delete(cache.keys().next().value!)
  cache.set(text, html)
  return html
}

/** A paragraph, a list, a block of code … `raw`: before it was made safe. */
export interface Block {
  readonly raw: string
  readonly html: string
}

/** A text that grows, block by block. Those that are as they were `before` are the same objects. */
export function renderBlocks(text: string, before: readonly Block[] = []): Block[] {
  const env = {}
  const blocks: Block[] = []
  let open: ReturnType<typeof md.parse> = []
  let depth = 0
  for (const token of md.parse(text, env)) {
    open.push(token)
    depth += token.nesting
    if (depth > 0) continue
    const raw = md.renderer.render(open, md.options, env)
    const known = before[blocks.length]
    blocks.push(known?.raw === raw ? known : { raw, html: sanitised(raw) })
    open = []
  }
  return blocks
}

const EMOJI_ONLY = /^(?:\s*(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2})(?:\p{Emoji_Modifier}|\uFE0F|\u200D\p{Extended_Pictographic})*)+\s*$/u

/** One to three emoji and nothing else: shown large. */
export function isJumbo(text: string): boolean {
  if (text.length > 40 || !EMOJI_ONLY.test(text)) return false
  return [...new Intl.Segmenter().segment(text.replace(/\s/g, ''))].length <= 3
}
