import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import { type Case, differences, parseCases } from '../../clients/cli/policy/cases.ts'
import { silentRules } from '../../clients/cli/policy/silent-rules.ts'
import { effectOf } from '../../clients/cli/policy/verdict-text.ts'
import { compilePolicy } from '../../lib/core/policy/compile.ts'
import { evaluate, explain } from '../../lib/core/policy/evaluate.ts'
import { parsePolicy } from '../../lib/core/policy/parse.ts'
import type { Policy } from '../../lib/core/policy/policy.ts'
import { codeBlocks } from './markdown.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

const recipes = read('docs/policy-cookbook.md')
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const [title = '', ...lines] = section.split('\n')
    return { title, blocks: codeBlocks(lines.join('\n'), 'yaml') }
  })

const matchesSchema = new Ajv({ strictTypes: false }).compile(JSON.parse(read('schemas/policy.schema.json')))

test('the cookbook has twenty-two recipes', () => {
  expect(recipes.map(({ title }) => title.split('.')[0])).toEqual(Array.from({ length: 22 }, (_, at) => `${at + 1}`))
})

describe.each(recipes)('$title', ({ blocks }) => {
  it('is a policy and its cases', () => expect(blocks).toHaveLength(2))
  const [text = '', casesText = ''] = blocks
  const policy = policyOf(text)
  const compiled = compilePolicy(policy)
  const cases = casesOf(casesText)

  it('is what the JSON Schema describes, and has no rule that is never heard', () => {
    expect(matchesSchema(parse(text)), JSON.stringify(matchesSchema.errors)).toBe(true)
    expect(silentRules(policy)).toEqual([])
  })

  it('has two to four cases', () => {
    expect(cases.length).toBeGreaterThanOrEqual(2)
    expect(cases.length).toBeLessThanOrEqual(4)
  })

  it.each(cases)('holds $name', (each) => {
    const { effect, rule } = evaluate(compiled, each.action)
    expect(differences(compiled, [each]), `${effect} by ${rule.ids}: ${rule.why.join('; ')}`).toEqual([])
  })

  it('shows every rule at work, and something that runs', () => {
    const heard = cases.flatMap(({ action }) => explain(compiled, action).heard())
    expect(policy.rules.filter(({ id }) => !heard.some(({ ruleId }) => ruleId === id)).map(({ id }) => id)).toEqual([])
    const effects = cases.map(({ action }) => effectOf(evaluate(compiled, action)))
    expect(effects.some((effect) => effect === 'allow' || effect === 'rate_limit')).toBe(true)
    expect(effects.some((effect) => effect === 'require_approval' || effect === 'deny')).toBe(true)
  })
})

function policyOf(text: string): Policy {
  const parsed = parsePolicy(text)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  return parsed.policy
}

function casesOf(text: string): Case[] {
  const parsed = parseCases(text)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  return parsed.cases
}
