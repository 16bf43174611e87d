import { expect, test } from 'vitest'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { Limits, type Spent } from '../../../services/gate/limits.ts'
import { HandClock } from '../../support/hand-clock.ts'

const once = [{ ruleId: 'few', key: 'k', limit: 1, windowMs: 60_000 }]
const OVER = { code: 'rate_limited' }

test.each([
  ['its number', 2],
  ['no number, which is the latest', null],
])('a late report on an earlier use gives nothing back; one by %s does, once', (_, use) => {
  const limits = new Limits({ clock: new HandClock(0), metrics: createMetrics(), share: 1 })
  limits.remember('apr_1', 2, limits.spend(once, 'apr_1') as Spent)
  limits.reported('apr_1', 1, 'not_executed')
  expect(limits.refusal(once)).toMatchObject(OVER)
  limits.reported('apr_1', use, 'not_executed')
  expect(limits.refusal(once)).toBeUndefined()
  limits.spend(once)
  limits.reported('apr_1', use, 'not_executed')
  expect(limits.refusal(once)).toMatchObject(OVER)
})
