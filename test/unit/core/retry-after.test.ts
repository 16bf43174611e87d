import { expect, test } from 'vitest'
import { retryAfterMs } from '../../../lib/core/retry-after.ts'

const NOW = Date.UTC(2026, 0, 1)

test.each([
  ['30', 30_000],
  ['0', 0],
  ['1.337', 1_337],
  ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
  ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
  ['-5', undefined],
  ['soon', undefined],
  ['2026-01-01', undefined],
  ['', undefined],
  [undefined, undefined],
])('%j is %j', (header, ms) => {
  expect(retryAfterMs(header, NOW)).toBe(ms)
})
