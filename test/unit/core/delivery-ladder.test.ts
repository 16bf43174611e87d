import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isAsking, nextAttemptIn } from '../../../lib/core/delivery-ladder.ts'

const S = 1_000
const M = 60 * S
const H = 60 * M

const stepsOf = (type: string, count: number) =>
  Array.from({ length: count }, (_, index) =>
    nextAttemptIn({ type, attempts: index + 1, retryAfterMs: undefined, random: 0 }),
  )

describe('the ladders', () => {
  it.each(['approval.requested', 'approval.expiring', 'approval.escalated'])(
    '%s is tried soon, and goes on',
    (type) => {
      expect(stepsOf(type, 8)).toEqual([2 * S, 5 * S, 15 * S, M, 5 * M, 5 * M, 5 * M, 5 * M])
      expect(isAsking(type)).toBe(true)
    },
  )

  it.each(['approval.decided', 'approval.settled', 'webhook.disabled'])('%s is tried eight times', (type) => {
    expect(stepsOf(type, 9)).toEqual([5 * S, M, 5 * M, 30 * M, 2 * H, 8 * H, 24 * H, undefined, undefined])
    expect(isAsking(type)).toBe(false)
  })

  it('tries a test once', () => {
    expect(stepsOf('webhook.test', 1)).toEqual([undefined])
  })

  it('adds up to a fifth of a step, and never takes from it', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('approval.requested', 'approval.decided'),
        fc.integer({ min: 1, max: 7 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (type, attempts, random) => {
          const step = nextAttemptIn({ type, attempts, retryAfterMs: undefined, random: 0 }) ?? 0
          const wait = nextAttemptIn({ type, attempts, retryAfterMs: undefined, random }) ?? 0
          expect(wait).toBeGreaterThanOrEqual(step)
          expect(wait).toBeLessThanOrEqual(step * 1.2)
        },
      ),
    )
  })

  it.each([
    ['approval.requested', 30 * S, 30 * S],
    ['approval.requested', S, 2 * S],
    ['approval.requested', 24 * H, H],
    ['approval.decided', 3 * M, 3 * M],
    ['approval.decided', 0, 5 * S],
    ['approval.decided', 1_000 * H, 24 * H],
  ])('of %s, Retry-After %d makes it %d', (type, retryAfterMs, expected) => {
    expect(nextAttemptIn({ type, attempts: 1, retryAfterMs, random: 0 })).toBe(expected)
  })

  it('lets nobody ask for a ninth attempt', () => {
    expect(nextAttemptIn({ type: 'approval.decided', attempts: 8, retryAfterMs: S, random: 0 })).toBeUndefined()
  })
})
