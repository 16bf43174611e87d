import { expect, it } from 'vitest'
import { levelOf } from '../../../../lib/core/policy/autonomy.ts'
import { parsePolicy } from '../../../../lib/core/policy/parse.ts'
import type { Level } from '../../../../lib/core/policy/policy.ts'

const parsed = parsePolicy('version: 1')
if (!parsed.ok) throw new Error('the policy of the test is not valid')
const { autonomy } = parsed.policy

const level = (own: Level | null, said: string | null = null) =>
  levelOf(
    { kind: 'tool', tool: 'x', args: {}, agent: { name: 'a', autonomy: own }, context: { autonomy: said } },
    autonomy,
  )

it('is that of the agent, and what a session says of itself only tightens it', () => {
  expect([level('locked', 'full'), level('semi', 'full'), level('full', 'semi')]).toEqual(['locked', 'semi', 'semi'])
  expect([level('full'), level(null), level(null, 'locked')]).toEqual(['full', autonomy.default, 'locked'])
  expect(level('full', 'nonsense')).toBe('locked')
})
