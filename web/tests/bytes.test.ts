import { expect, test } from 'vitest'
import { formatBytes, formatDuration, percent } from '../src/files/bytes'

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
