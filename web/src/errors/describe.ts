import en from '../locales/en'

/** What the page shows of an error: a key of the locale, and the public code small beside it. */
export interface Described {
  key: `errors.${keyof typeof en.errors}`
  code: number | null
}

interface WithName {
  name?: unknown
  code?: unknown
}

function has(name: unknown): name is keyof typeof en.errors {
  return typeof name === 'string' && name in en.errors
}

/** Any thrown thing or `error` payload, in words the reader knows. */
export function describe(error: unknown): Described {
  const { name, code } = (error ?? {}) as WithName
  const number = typeof code === 'number' ? code : null
  if (has(name)) return { key: `errors.${name}`, code: number }
  return { key: 'errors.unknown', code: number }
}
