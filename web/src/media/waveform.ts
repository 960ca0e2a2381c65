/** As many numbers as the server keeps of a recording. */
export const LEVELS = 64

/**
 * Loudness over time, each from 0 to 1, as at most 64 numbers from 0 to 100: the loudest of each stretch, with the loudest of all at 100.
 * What is nearly silent throughout stays low, so that noise does not look like speech.
 */
export function toWaveform(levels: readonly number[], count = LEVELS): number[] {
  if (levels.length === 0) return []
  const size = Math.min(count, levels.length)
  const loudest = Math.max(0.05, ...fold(levels, 1))
  return fold(levels, size).map((level) => Math.round((100 * Math.min(level, loudest)) / loudest))
}

function fold(levels: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    let loudest = 0
    const end = Math.floor(((index + 1) * levels.length) / count)
    for (let at = Math.floor((index * levels.length) / count); at < end; at++) loudest = Math.max(loudest, levels[at]!)
    return loudest
  })
}

/** As loud as it is heard, from 0 to 1: speech lies low in the samples and would hardly move a bar. */
export function loudness(samples: Float32Array): number {
  let sum = 0
  for (const sample of samples) sum += sample * sample
  return Math.min(1, Math.sqrt(Math.sqrt(sum / Math.max(1, samples.length))))
}
