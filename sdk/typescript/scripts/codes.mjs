// Writes src/codes.ts from spec/codes.toml. `--check` writes nothing and fails when the file is not what it should be.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../../../spec/codes.toml', import.meta.url))
const target = fileURLToPath(new URL('../src/codes.ts', import.meta.url))

/** The part of TOML that codes.toml uses: `[table.name]`, and one integer, boolean or basic string per line. Anything else is an error. */
export function parse(toml) {
  const tables = {}
  let row
  for (const [index, raw] of toml.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const header = /^\[(\w+)\.(\w+)\]$/.exec(line)
    if (header) {
      const [, table, name] = header
      tables[table] ??= {}
      if (tables[table][name]) throw new Error(`codes.toml:${index + 1}: [${table}.${name}] is there twice`)
      row = tables[table][name] = {}
      continue
    }
    const pair = /^(\w+) = (\d+|true|false|"(?:[^"\\]|\\.)*")$/.exec(line)
    if (!pair || !row) throw new Error(`codes.toml:${index + 1}: not understood: ${line}`)
    row[pair[1]] = JSON.parse(pair[2])
  }
  return tables
}

const quoted = (text) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

export function generate(toml) {
  const { error, close } = parse(toml)
  const errors = Object.entries(error).map(
    ([name, { code, http, retryable, text }]) => `  ${name}: { code: ${code}, http: ${http}, retryable: ${retryable}, text: ${quoted(text)} },`,
  )
  const closes = Object.entries(close).map(([name, { code, again }]) => `  ${name}: { code: ${code}, again: ${again} },`)
  return [
    '// Made from spec/codes.toml by scripts/codes.mjs (`npm run codes`). Do not edit.',
    '',
    '/** Every error the server can give. `code` and `name` are public and never change their meaning; the text is not. */',
    'export const ERRORS = {',
    ...errors,
    '} as const',
    '',
    'export type ErrorName = keyof typeof ERRORS',
    '',
    '/** Close codes of a socket; `again`: come back and resume. */',
    'export const CLOSES = {',
    ...closes,
    '} as const',
    '',
    'export type CloseName = keyof typeof CLOSES',
    '',
  ].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = generate(readFileSync(source, 'utf8'))
  if (!process.argv.includes('--check')) writeFileSync(target, wanted)
  else if (readFileSync(target, 'utf8') !== wanted) {
    console.error('src/codes.ts is not what spec/codes.toml says: run `npm run codes`')
    process.exitCode = 1
  }
}
