import { readdirSync, readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import {
  POLICY_KEYS,
  parsePolicy,
  RATE_LIMIT_KEYS,
  RULE_KEYS,
  SETTING_KEYS,
} from '../../../../lib/core/policy/parse.ts'
import { APPROVAL_KEYS } from '../../../../lib/core/policy/parse-approval.ts'
import { AUTONOMY_KEYS, CLASSIFIER_KEYS, LEVEL_KEYS } from '../../../../lib/core/policy/parse-autonomy.ts'
import { CONDITION_KEYS } from '../../../../lib/core/policy/parse-condition.ts'
import { STEP_KEYS } from '../../../../lib/core/policy/parse-escalation.ts'
import { BUILTIN_KEYS, EVALUATORS_KEYS, EXTERNAL_KEYS } from '../../../../lib/core/policy/parse-evaluators.ts'
import { LEVELS, MATCH_KEYS } from '../../../../lib/core/policy/policy.ts'
import { parseCommandSpec } from '../../../../lib/core/policy/shell/command-spec.ts'
import { STARTER_POLICY } from '../../../../lib/core/policy/starter.ts'
import { codeBlocks } from '../../../contract/markdown.ts'

const root = new URL('../../../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8')

interface Schema {
  properties: Record<string, Schema>
  definitions: Record<string, Schema>
}
const schema = JSON.parse(read('schemas/policy.schema.json')) as Schema
const validate = new Ajv({ allErrors: true, strictTypes: false }).compile(schema)
const faults = (policy: unknown): string[] =>
  validate(policy) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)

describe('the JSON Schema', () => {
  const { properties: top, definitions } = schema
  it.each<[string, Schema | undefined, readonly string[]]>([
    ['the policy', schema, POLICY_KEYS],
    ['settings', top.settings, SETTING_KEYS],
    ['a rule', definitions.rule, RULE_KEYS],
    ['match', definitions.match, MATCH_KEYS],
    ['a condition', definitions.condition, CONDITION_KEYS],
    ['approval', definitions.approval, APPROVAL_KEYS],
    ['a step of an escalation', definitions.escalationStep, STEP_KEYS],
    ['rate_limit', definitions.rateLimit, RATE_LIMIT_KEYS],
    ['a classifier', definitions.classifier, CLASSIFIER_KEYS],
    ['autonomy', top.autonomy, AUTONOMY_KEYS],
    ['levels', top.autonomy?.properties.levels, LEVELS],
    ['a level', definitions.levelTerms, LEVEL_KEYS],
    ['evaluators', definitions.evaluators, EVALUATORS_KEYS],
    ['built-in evaluators', definitions.evaluators?.properties.builtin, BUILTIN_KEYS],
    ['an external evaluator', definitions.external, EXTERNAL_KEYS],
  ])('knows the keys of %s that the parser knows', (_, part, keys) => {
    expect(Object.keys(part?.properties ?? {}).sort()).toEqual([...keys].sort())
  })

  it.each(Object.keys(definitions.command?.properties ?? {}))('names %s of a command, as the parser does', (key) => {
    expect(String(parseCommandSpec({ [key]: {} }))).not.toContain('has no')
    expect(String(parseCommandSpec({ odd: {} }))).toContain(key)
  })

  test('takes the starter policy', () => {
    expect(faults(parse(STARTER_POLICY))).toEqual([])
  })

  const examples = codeBlocks(read('docs/policy.md'), 'yaml').filter((block) => block.includes('version: 1'))
  it.each(examples.map((block, index) => ({ index, block })))('takes example $index of docs/policy.md', ({ block }) => {
    expect(faults(parse(block))).toEqual([])
  })

  const vectors = readdirSync(new URL('test/vectors/policy/', root)).flatMap((file) =>
    (parse(read(`test/vectors/policy/${file}`)) as { about: string; policy: unknown }[]).map((suite) => ({
      name: `${file}: ${suite.about}`,
      policy: suite.policy,
    })),
  )
  it.each(vectors.filter(({ policy }) => typeof policy === 'object'))('takes the policy of $name', ({ policy }) => {
    expect(faults(policy)).toEqual([])
  })

  const base = { id: 'r', match: { tool: 'x' }, action: 'deny' }
  const rule = (more: object) => ({ version: 1, rules: [{ ...base, ...more }] })
  it.each<[string, unknown]>([
    ['no version', {}],
    ['another version', { version: 2 }],
    ['an unknown key', { version: 1, rulez: [] }],
    ['an unknown default', { version: 1, default: 'ask' }],
    ['a bare number as a duration', { version: 1, settings: { timeout: 5 } }],
    ['a reserved id', rule({ id: 'default' })],
    ['an odd id', rule({ id: 'a b' })],
    ['an unknown action', rule({ action: 'ask' })],
    ['an empty match', rule({ match: {} })],
    ['tools and hosts', rule({ match: { tool: 'x', host: 'y' } })],
    ['a glob of another dialect', rule({ match: { tool: '{a,b}' } })],
    ['a path without a slash', rule({ match: { path: 'v1' } })],
    ['an approval of a deny', rule({ approval: {} })],
    ['an approval with a limit', rule({ action: 'require_approval', rate_limit: { limit: 1, window: '1m' } })],
    ['a limit without terms', rule({ action: 'rate_limit' })],
    ['a limit without a window', rule({ action: 'rate_limit', rate_limit: { limit: 1 } })],
    ['approval by silence', rule({ action: 'require_approval', approval: { onTimeout: 'approve' } })],
    ['an escalation without steps', rule({ action: 'require_approval', approval: { onTimeout: 'escalate' } })],
    ['an escalation of no steps', rule({ action: 'require_approval', approval: { escalation: [] } })],
    ['a step without its time', rule({ action: 'require_approval', approval: { escalation: [{ channels: 'c' }] } })],
    ['a step without anybody', rule({ action: 'require_approval', approval: { escalation: [{ after: '1m' }] } })],
    ['a warning in words', { version: 1, settings: { warn: 'soon' } }],
    ['a condition without an operator', rule({ when: [{ path: 'args.a' }] })],
    ['a condition with two', rule({ when: [{ path: 'args.a', gt: 1, lt: 5 }] })],
    ['a condition without a path', rule({ when: [{ gt: 1 }] })],
    ['a limit that is text', rule({ when: [{ path: 'args.a', gt: '5' }] })],
    ['an expression with a path', rule({ when: [{ path: 'args.a', expr: 'true' }] })],
    ['a choice of nothing', rule({ when: [{ any: [] }] })],
    ['an unknown option of a command', rule({ when: [{ command: { run: 'rm' } }] })],
    ['an unknown mode', rule({ mode: 'dry' })],
    ['an unknown level', { version: 1, autonomy: { default: 'free' } }],
    ['an odd category', { version: 1, classify: [{ label: 'a b', match: { tool: 'x' } }] }],
    ['an unknown power', { version: 1, evaluators: { external: [{ id: 'e', url: 'https://x/', may: ['rule'] }] } }],
  ])('refuses %s, as the parser does', (_, policy) => {
    expect(faults(policy)).not.toEqual([])
    expect(parsePolicy(JSON.stringify(policy)).ok).toBe(false)
  })
})
