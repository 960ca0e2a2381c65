import { describe, expect, test } from 'vitest'
import { formatBytes, formatDuration, percent } from '../src/files/bytes'
import { loudness, toWaveform } from '../src/media/waveform'

describe('a waveform', () => {
  test('has at most 64 numbers, the loudest at 100', () => {
    const drawn = toWaveform(Array.from({ length: 1000 }, (_, index) => index / 2000))
    expect(drawn).toHaveLength(64)
    expect(drawn.at(-1)).toBe(100)
    expect(drawn).toEqual([...drawn].sort((a, b) => a - b))
  })

  test('of a short recording has no invented numbers', () => expect(toWaveform([0.5, 1])).toEqual([50, 100]))
  test('of silence stays low', () => expect(Math.max(...toWaveform(Array(100).fill(0.001)))).toBeLessThan(5))
  test('of nothing is nothing', () => expect(toWaveform([])).toEqual([]))

  test('hears the difference between silence and speech', () => {
    expect(loudness(new Float32Array(512))).toBe(0)
    expect(loudness(new Float32Array(512).fill(0.05))).toBeGreaterThan(0.2)
    expect(loudness(new Float32Array(512).fill(9))).toBe(1)
  })
})

test.each([
  [1, '1 byte'],
  [999, '999 byte'],
  [1400, '1.4 kB'],
  [104_857_600, '105 MB'],
  [3.2e9, '3.2 GB'],
])('%i bytes are %s', (bytes, words) => expect(formatBytes(bytes, 'en')).toContain(words))

test('all of it is 100 %, and nothing less is', () => {
  expect([percent(0, 10), percent(9_999, 10_000), percent(10, 10), percent(12, 10), percent(0, 0)]).toEqual([0, 99, 100, 100, 100])
})

test('durations are minutes and seconds', () => expect([900, 65_400, 3_600_000].map(formatDuration)).toEqual(['0:01', '1:05', '60:00']))
