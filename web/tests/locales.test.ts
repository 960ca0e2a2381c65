import { LOCAL_ERRORS } from '@parley/sdk'
import { describe, expect, test } from 'vitest'
import codes from '../../spec/codes.toml?raw'
import { browserLocale } from '../src/locales'
import en from '../src/locales/en'
import zh from '../src/locales/zh'

type Tree = { [key: string]: string | Tree }

function flatten(tree: Tree, prefix = ''): Map<string, string> {
  return new Map(
    Object.entries(tree).flatMap(([key, value]) =>
      typeof value === 'string' ? [[prefix + key, value] as const] : [...flatten(value, `${prefix}${key}.`)],
    ),
  )
}

const english = flatten(en)
const chinese = flatten(zh)
const holes = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort()

describe('the locales', () => {
  test('hold the same keys', () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort())
  })

  test('have no empty text, and the same places to fill in', () => {
    for (const [key, text] of english) {
      expect(chinese.get(key), key).not.toBe('')
      expect(holes(chinese.get(key)!), key).toEqual(holes(text))
    }
  })

  test('shout at nobody', () => {
    for (const text of [...english.values(), ...chinese.values()]) expect(text).not.toMatch(/[!！]|oops/i)
  })

  test('have words for every error a server or the SDK can give', () => {
    const names = [...codes.matchAll(/^\[error\.(\w+)\]$/gm)].map((match) => match[1]!)
    expect(names.length).toBeGreaterThan(20)
    for (const name of [...names, ...Object.keys(LOCAL_ERRORS)]) expect(en.errors, name).toHaveProperty(name)
  })
})

test('the browser decides at first', () => {
  expect(browserLocale(['zh-TW', 'en'])).toBe('zh')
  expect(browserLocale(['de', 'en-GB'])).toBe('en')
  expect(browserLocale(['fr'])).toBe('en')
})
