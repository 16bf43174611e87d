import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RateWindow, type Spending } from '../../../lib/core/rate-window.ts'

const per = (limit: number, windowMs = 60_000, key = 'k'): Spending => ({ key, limit, windowMs })

describe('a window', () => {
  it('lets so many through, and says when the next may come', () => {
    const window = new RateWindow()
    expect(window.tryTake([per(2)], 1_000).ok).toBe(true)
    expect(window.tryTake([per(2)], 5_000).ok).toBe(true)
    const refused = window.tryTake([per(2)], 6_000)
    if (refused.ok) throw new Error('it was let through')
    expect(refused.key).toBe('k')
    expect(refused.retryAfterMs).toBeGreaterThanOrEqual(55_000)
    expect(refused.retryAfterMs).toBeLessThanOrEqual(55_000 + Math.ceil(60_000 / 64))
    expect(window.tryTake([per(2)], 6_000 + refused.retryAfterMs - 1).ok).toBe(false)
    expect(window.tryTake([per(2)], 6_000 + refused.retryAfterMs).ok).toBe(true)
  })

  it('gives back what was not used', () => {
    const window = new RateWindow()
    const taken = window.tryTake([per(1)], 0)
    expect(window.tryTake([per(1)], 40_000).ok).toBe(false)
    if (taken.ok) window.giveBack([per(1)], taken.at)
    expect(window.tryTake([per(1)], 40_000).ok).toBe(true)
    if (taken.ok) window.giveBack([per(1)], taken.at)
    expect(window.tryTake([per(1)], 40_000).ok).toBe(false)
  })

  it('takes all or nothing', () => {
    const window = new RateWindow()
    const both = [per(1, 60_000, 'a'), per(2, 60_000, 'b')]
    expect(window.tryTake(both, 0).ok).toBe(true)
    expect(window.tryTake(both, 1)).toMatchObject({ ok: false, key: 'a' })
    expect(window.tryTake([per(2, 60_000, 'b')], 2).ok).toBe(true)
    expect(window.tryTake([per(2, 60_000, 'b')], 3).ok).toBe(false)
    expect(window.tryTake([], 3).ok).toBe(true)
  })

  it('holds when a limit is lowered', () => {
    const window = new RateWindow()
    for (const now of [0, 20_000, 40_000]) window.tryTake([per(3)], now)
    const refused = window.tryTake([per(1)], 50_000)
    expect(refused.ok).toBe(false)
    if (!refused.ok) expect(50_000 + refused.retryAfterMs).toBeGreaterThanOrEqual(100_000)
  })

  it('stands still when the clock goes back', () => {
    const window = new RateWindow()
    expect(window.tryTake([per(1)], 100_000).ok).toBe(true)
    expect(window.tryTake([per(1)], 10_000).ok).toBe(false)
    expect(window.tryTake([per(1)], 161_000).ok).toBe(true)
  })

  it('refuses new keys when it is full, and forgets the ones that ran out', () => {
    const window = new RateWindow({ maxKeys: 2 })
    expect(window.tryTake([per(1, 60_000, 'a')], 0).ok).toBe(true)
    expect(window.tryTake([per(5, 600_000, 'b')], 0).ok).toBe(true)
    expect(window.tryTake([per(5, 60_000, 'c')], 10)).toMatchObject({ ok: false, key: 'c' })
    expect(window.tryTake([per(5, 600_000, 'b')], 20).ok).toBe(true)
    expect(window.tryTake([per(5, 60_000, 'c')], 62_000).ok).toBe(true)
    expect(window.size).toBe(2)
  })
})

describe('for any calls', () => {
  const calls = fc.array(fc.tuple(fc.nat(400), fc.boolean()), { maxLength: 60 })

  it('no window ever holds more than the limit, and a wait is never too short', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 2_000 }),
        calls,
        (limit, windowMs, steps) => {
          const window = new RateWindow()
          const spending = [per(limit, windowMs)]
          const uses: number[] = []
          let now = 0
          for (const [pause, isGivenBack] of steps) {
            now += pause
            const inWindow = uses.filter((at) => at > now - windowMs).length
            const taken = window.tryTake(spending, now)
            if (taken.ok) {
              expect(inWindow).toBeLessThan(limit)
              if (isGivenBack) window.giveBack(spending, taken.at)
              else uses.push(now)
              continue
            }
            const late = now + taken.retryAfterMs - Math.ceil(windowMs / 64)
            expect(uses.filter((at) => at > late - windowMs).length).toBeGreaterThanOrEqual(limit)
            now += taken.retryAfterMs
            expect(window.tryTake(spending, now).ok).toBe(true)
            uses.push(now)
          }
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
