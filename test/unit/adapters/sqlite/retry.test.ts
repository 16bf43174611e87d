import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pause, pauseMs } from '../../../../lib/adapters/sqlite/retry.ts'
import type { Clock } from '../../../../lib/ports/clock.ts'

it('pauses longer and longer, at most a second', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), (attempt) => {
      const longest = Math.min(1_000, 20 * 2 ** (attempt - 1))
      const ms = pauseMs(attempt)
      expect(ms).toBeGreaterThanOrEqual(longest / 2)
      expect(ms).toBeLessThanOrEqual(longest)
    }),
  )
})

it('ends a pause at once when it is aborted, and forgets its timer', async () => {
  const cancelled: number[] = []
  const clock: Clock = { now: () => 0, after: (ms) => () => void cancelled.push(ms) }
  const stop = new AbortController()
  const paused = pause(clock, 500, stop.signal)
  stop.abort()
  await paused
  expect(cancelled).toEqual([500])
  await pause(clock, 600, stop.signal)
  expect(cancelled).toEqual([500])
})
