import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { indentJson } from '../../../clients/dashboard/json-text.ts'

const textOf = (json: string): string =>
  (indentJson(json) ?? [])
    .filter(({ kind }) => kind !== 'break')
    .map(({ text }) => text)
    .join('')

describe('indented JSON', () => {
  test('says what the text says, and looks as JSON.stringify would indent it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify(value)
        expect(textOf(json)).toBe(JSON.stringify(value, null, 2))
      }),
    )
  })

  test('keeps long numbers and repeated keys as they were written', () => {
    expect(textOf('{"n":12345678901234567890,"n":1.0}')).toBe('{\n  "n": 12345678901234567890,\n  "n": 1.0\n}')
  })

  test('breaks the lines of a text after their escape, and of nothing else', () => {
    const kinds = (indentJson('{"a\\nb":"c\\nd\\\\ne"}') ?? []).map(({ kind, text }) => [kind, text])
    expect(kinds).toContainEqual(['escape', '\\n'])
    expect(kinds.filter(([kind]) => kind === 'break')).toHaveLength(1)
    expect(kinds).toContainEqual(['text', 'd\\\\ne"'])
  })

  test('is undefined for what is not JSON', () => {
    for (const text of ['', '{', '{"a":1}…', 'undefined']) expect(indentJson(text)).toBeUndefined()
  })
})
