import fc from 'fast-check'
import { expect, it } from 'vitest'
import { jsonLines } from '../../../lib/core/json-lines.ts'

it('indents as JSON.stringify does, and keeps every value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const lines = jsonLines(JSON.stringify(value))
      expect(lines.join('\n')).toBe(JSON.stringify(value, null, 2))
    }),
  )
})

it('reads no value: long numbers and repeated keys stay what they were', () => {
  expect(jsonLines('{"a":12345678901234567890,"a":1.0}')).toEqual([
    '{',
    '  "a": 12345678901234567890,',
    '  "a": 1.0',
    '}',
  ])
})

it('gives back what is no JSON as one line', () => {
  expect(jsonLines('{"cut')).toEqual(['{"cut'])
  expect(jsonLines('')).toEqual([''])
})
