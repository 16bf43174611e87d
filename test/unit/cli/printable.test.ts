import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonText, printable } from '../../../clients/cli/printable.ts'

/** What moves a cursor, changes colours, reverses text or hides. */
const DANGEROUS = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/u

test.each([
  ['plain text, naïve café, 日本語, 🚀', 'plain text, naïve café, 日本語, 🚀'],
  ['\u001b[31mred\u001b[0m', '␛[31mred␛[0m'],
  ['\u001b]0;title\u0007', '␛]0;title␇'],
  ['a\nb\r\nc\td', 'a⏎b␍⏎c d'],
  ['safe\u202egnp.exe', 'safe\\u{202e}gnp.exe'],
  ['zero\u200bwidth', 'zero\\u{200b}width'],
  ['\u009b2J', '\\u{9b}2J'],
  ['tag\u{e0041}', 'tag\\u{e0041}'],
  ['half \ud800', 'half \\u{d800}'],
  ['', ''],
])('%j is shown as %j', (text, shown) => {
  expect(printable(text)).toBe(shown)
})

test('nothing dangerous is left of any text, and nothing visible is lost', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = printable(text)
      expect(shown).not.toMatch(DANGEROUS)
      expect(shown).not.toMatch(/\n/)
      const visible = [...text].filter(
        (character) => /[\p{L}\p{N}\p{S}]/u.test(character) && printable(character) === character,
      )
      expect(visible.every((character) => shown.includes(character))).toBe(true)
      expect(printable(shown)).toBe(shown)
    }),
  )
})

test('JSON keeps its value and is inert', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = jsonText(value)
      expect(text).not.toMatch(DANGEROUS)
      expect(JSON.stringify(JSON.parse(text))).toBe(JSON.stringify(value))
    }),
  )
  expect(jsonText({ a: '\u{e0041}\u202e' })).toBe('{"a":"\\udb40\\udc41\\u202e"}')
})
