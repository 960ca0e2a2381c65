import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

// Under test, importing a style sheet gives nothing.
const css = readFileSync(join(import.meta.dirname, '../src/styles/tokens.css'), 'utf8')

const pairs = new Map([...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [name!, [light!, dark!] as const]))

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}

function contrast(one: string, other: string): number {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high! + 0.05) / (low! + 0.05)
}

const TEXT: [string, string[]][] = [
  ['text', ['pane', 'timeline', 'raised', 'sunken', 'hover', 'selected', 'bubble', 'bubble-own', 'danger-soft']],
  ['text-2', ['pane', 'timeline', 'raised', 'sunken', 'hover', 'selected', 'bubble', 'bubble-own', 'ground']],
  ['text-3', ['pane', 'timeline', 'raised', 'sunken', 'hover', 'selected', 'bubble']],
  ['text-own-2', ['bubble-own']],
  ['accent-text', ['pane', 'timeline', 'raised', 'hover', 'selected', 'bubble', 'bubble-own', 'accent-soft']],
  ['on-accent', ['accent', 'accent-strong']],
  ['on-badge', ['badge']],
  ['danger', ['pane', 'raised', 'timeline', 'danger-soft']],
  ['warn-text', ['warn-soft']],
]
const CONTROLS: [string, string[]][] = [
  ['edge', ['pane', 'raised', 'timeline']],
  ['focus', ['pane', 'raised', 'timeline', 'bubble']],
  ['online', ['pane']],
]

const rows = (table: typeof TEXT, least: number) =>
  table.flatMap(([front, backs]) => backs.flatMap((back) => [0, 1].map((theme) => ({ front, back, theme, least }))))

test.each([...rows(TEXT, 4.5), ...rows(CONTROLS, 3)])('$front on $back, theme $theme: at least $least to 1', ({ front, back, theme, least }) => {
  expect(contrast(pairs.get(front)![theme]!, pairs.get(back)![theme]!)).toBeGreaterThanOrEqual(least)
})
