import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { piecesOf, plainText } from '../../../clients/dashboard/invisible.ts'

describe('text without disguise', () => {
  test.each([
    ['\u202egnp.exe', '\\u202egnp.exe'],
    ['a\u200bb', 'a\\u200bb'],
    ['\u001b[31mred', '\\u001b[31mred'],
    ['\u{e0041}', '\\u{e0041}'],
    ['\ud800', '\\ud800'],
    ['\u3164', '\\u3164'],
  ])('%j is shown as %s', (text, shown) => {
    expect(plainText(text)).toBe(shown)
  })

  test.each(['Grüße', 'שלום', '日本語', '👍🏽', '❤️', 'two\nlines\tand a tab', ''])('%j stays as it is', (text) => {
    expect(piecesOf(text).filter(({ escaped }) => escaped)).toEqual([])
    expect(plainText(text)).toBe(text)
  })

  test('no text keeps an invisible character, and what is visible is untouched', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const pieces = piecesOf(text)
        for (const piece of pieces) expect(piece.text).not.toMatch(/\p{Cf}|(?!\n|\t)\p{Cc}|\p{Cs}/u)
        const visible = pieces.filter(({ escaped }) => !escaped).map((piece) => piece.text)
        let from = 0
        for (const part of visible) {
          const at = text.indexOf(part, from)
          expect(at).toBeGreaterThanOrEqual(from)
          from = at + part.length
        }
      }),
    )
  })
})
