import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatDuration, parseDuration } from '../../../lib/core/duration.ts'

it.each([
  ['500ms', 500],
  ['0s', 0],
  ['30s', 30_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['90d', 7_776_000_000],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

it.each(['', '5', '5 m', ' 5m', '5m ', '1.5h', '-5m', '5M', '5min', '1h30m', '1234567890s', '5m\n', '٥m'])(
  '%j is no duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined()
  },
)

it('writes what it reads', () => {
  expect(formatDuration(90_000)).toBe('90s')
  expect(formatDuration(300_000)).toBe('5m')
  expect(formatDuration(0)).toBe('0ms')
  fc.assert(
    fc.property(fc.nat(999_999_999), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBe(ms)
    }),
  )
})
