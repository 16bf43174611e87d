import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readAction } from '../../../../clients/cli/policy/action-file.ts'
import type { PolicyAction } from '../../../../lib/core/policy/action.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../../lib/core/policy/evaluate.ts'
import { PolicySource } from '../../../../lib/core/policy/source.ts'
import { STARTER_POLICY } from '../../../../lib/core/policy/starter.ts'
import { normaliseUrl } from '../../../../lib/core/policy/target.ts'
import { policyOf } from './fixture.ts'

interface Suite {
  about: string
  /** The policy, or `starter`. */
  policy: unknown
  cases: Vector[]
}

interface Vector {
  name: string
  action: Record<string, unknown>
  /** `refused`: no such target is forwarded, whatever the policy. */
  expect: 'allow' | 'deny' | 'require_approval' | 'refused'
  /** One of the rules that spoke. */
  rule?: string
  limits?: string[]
  shadow?: string[]
  level?: string
  categories?: string[]
}

const folder = new URL('../../../vectors/policy/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'))

function actionOf(value: unknown): PolicyAction {
  const source = new PolicySource(JSON.stringify(value))
  const root = source.root()
  const action = root && readAction(root)
  if (!action || source.errors.length > 0) throw new Error(JSON.stringify(source.errors))
  return action
}

let count = 0

describe.each(files)('%s', (file) => {
  const suites = parse(readFileSync(new URL(file, folder), 'utf8')) as Suite[]

  describe.each(suites)('$about', ({ policy, cases }) => {
    const compiled = compilePolicy(policyOf(policy === 'starter' ? STARTER_POLICY : JSON.stringify(policy)))
    count += cases.length

    it.each(cases)('$name', (vector) => {
      if (vector.expect === 'refused') {
        expect(normaliseUrl(String(vector.action.url)).ok).toBe(false)
        return
      }
      const { effect, rule, limits, shadow, autonomy } = evaluate(compiled, actionOf(vector.action))
      expect(effect, JSON.stringify(rule)).toBe(vector.expect)
      if (vector.rule !== undefined) expect(rule.ids).toContain(vector.rule)
      if (vector.limits) expect(limits.map(({ ruleId }) => ruleId)).toEqual(vector.limits)
      if (vector.shadow) expect(shadow.map(({ ruleId }) => ruleId)).toEqual(vector.shadow)
      if (vector.level !== undefined) expect(autonomy?.level).toBe(vector.level)
      if (vector.categories) expect(autonomy?.categories).toEqual(vector.categories)
    })
  })
})

it('is a corpus', () => {
  expect(count).toBeGreaterThanOrEqual(150)
})
