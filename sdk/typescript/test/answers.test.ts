import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Answers } from '../src/answers.js'
import { growAnswer, type Entry, type GrowingAnswer } from '../src/index.js'

const grow = (...pieces: [offset: number, text: string][]) =>
  pieces.reduce<GrowingAnswer | undefined>((held, [offset, text]) => growAnswer(held, { offset, text }), undefined)

describe('a growing answer', () => {
  test('is joined by offset', () => {
    expect(grow([0, 'one '], [4, 'two '], [8, 'three'])?.text).toBe('one two three')
  })

  test('counts code points, not the units of JavaScript', () => {
    expect(grow([0, '😀😀'], [2, '👍'], [3, '中'])).toEqual({ text: '😀😀👍中', points: 4 })
  })

  test('waits after a gap, and goes on with all so far', () => {
    expect(grow([0, 'one '], [8, 'three'])?.text).toBe('one ')
    expect(grow([0, 'one '], [8, 'three'], [0, 'one two three'], [13, ' four'])?.text).toBe('one two three four')
  })

  test('does not change by a repeat, not even as an object', () => {
    const held = grow([0, 'one '], [4, 'two '])!
    for (const piece of [{ offset: 4, text: 'two ' }, { offset: 0, text: 'one ' }, { offset: 0, text: 'one two ' }, { offset: 2, text: 'e t' }]) {
      expect(growAnswer(held, piece)).toBe(held)
    }
  })

  test('takes the rest of a piece that begins in what is there', () => {
    expect(grow([0, 'one 😀'], [3, ' 😀 two'])?.text).toBe('one 😀 two')
  })

  test('is replaced by all so far after a reconnect', () => {
    expect(grow([0, 'one '], [0, 'one two three '], [14, 'four'])?.text).toBe('one two three four')
  })
})

interface Piece { offset: number; text: string }

/** An answer, the pieces it was told in with all so far in between, and what a bad way makes of them. */
const told = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }).chain((text) => {
  const points = [...text]
  const cut = fc.nat({ max: points.length })
  const piece = fc.tuple(cut, cut).map(([a, b]): Piece => {
    const [from, to] = a < b ? [a, b] : [b, a]
    return { offset: from, text: points.slice(from, to).join('') }
  })
  return fc.tuple(fc.constant(text), fc.array(piece, { maxLength: 40 }))
})

describe('whatever is lost, repeated or late', () => {
  test('what is shown is a beginning of the answer, and never gets shorter', () => {
    fc.assert(
      fc.property(told, ([text, pieces]) => {
        let held: GrowingAnswer | undefined
        for (const piece of pieces) {
          const before = held?.text ?? ''
          held = growAnswer(held, piece)
          expect(text.startsWith(held.text)).toBe(true)
          expect(held.text.startsWith(before)).toBe(true)
          expect(held.points).toBe([...held.text].length)
        }
      }),
    )
  })

  test('all so far makes it whole', () => {
    fc.assert(
      fc.property(told, ([text, pieces]) => {
        const whole = [...pieces, { offset: 0, text }].reduce<GrowingAnswer | undefined>(growAnswer, undefined)
        expect(whole?.text).toBe(text)
      }),
    )
  })
})

describe('answers', () => {
  const delta = (message_id: string, text: string, offset = 0) => ({ conversation_id: '7', message_id, offset, text })

  test('are kept until their end', () => {
    const answers = new Answers()
    expect(answers.heard(delta('1', 'one'))).toBe(true)
    expect(answers.heard(delta('1', 'one'))).toBe(false)
    expect(answers.heard(delta('2', 'lost its beginning', 9))).toBe(false)
    expect([answers.textOf('1'), answers.textOf('2')]).toEqual(['one', undefined])
    answers.ended([{ kind: 'message.completed', message_id: '1' } as Entry])
    expect(answers.textOf('1')).toBeUndefined()
  })

  test('are bounded, and the quietest goes', () => {
    const answers = new Answers()
    for (let id = 0; id < 150; id++) {
      answers.heard(delta(String(id), 'x'))
      answers.heard(delta('0', 'x'.repeat(id + 1)))
    }
    expect(answers.textOf('0')).toBe('x'.repeat(150))
    expect([...Array(150).keys()].filter((id) => answers.textOf(String(id)) !== undefined)).toHaveLength(100)
  })
})
