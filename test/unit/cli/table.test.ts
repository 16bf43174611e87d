import fc from 'fast-check'
import { expect, test } from 'vitest'
import { table } from '../../../clients/cli/table.ts'
import { clip, widthOf } from '../../../clients/cli/text-width.ts'
import { formatSpan, fromNow } from '../../../clients/cli/time-span.ts'

test('wide letters take two columns, combining marks none', () => {
  expect([widthOf('abc'), widthOf('日本'), widthOf('🚀'), widthOf('e\u0301')]).toEqual([3, 4, 2, 1])
  expect(clip('日本語', 5)).toBe('日本…')
})

test('clipped text never takes more than it may', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, width) => {
      const clipped = clip(text, width)
      expect(widthOf(clipped)).toBeLessThanOrEqual(width)
      if (widthOf(text) <= width) expect(clipped).toBe(text)
    }),
  )
})

const columns = [
  { head: 'ID', cell: (row: string[]) => row[0] ?? '' },
  { head: 'TEXT', cell: (row: string[]) => row[1] ?? '' },
]

test('columns line up and the last one gives way to the terminal', () => {
  const rows = [
    ['a', 'short'],
    ['日本', 'a long text that does not fit here'],
  ]
  const options = { paintHead: (text: string) => text }
  expect(table(columns, rows, { ...options, width: 24 })).toEqual([
    'ID    TEXT',
    'a     short',
    '日本  a long text that …',
  ])
  expect(table(columns, rows, { ...options, width: undefined }).at(-1)).toBe('日本  a long text that does not fit here')
})

test('spans of time', () => {
  expect([0, 999, 59_999, 60_000, 3_599_999, 86_400_000 * 3].map(formatSpan)).toEqual([
    '0s',
    '0s',
    '59s',
    '1m',
    '59m',
    '3d',
  ])
  const now = Date.parse('2030-01-01T00:00:00Z')
  expect(fromNow('2030-01-01T00:05:00Z', now)).toBe('in 5m')
  expect(fromNow('2029-12-31T22:00:00Z', now)).toBe('2h ago')
  expect(fromNow('never', now)).toBe('?')
})
