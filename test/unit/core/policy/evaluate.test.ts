import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/core/canonical-json.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../../lib/core/policy/evaluate.ts'
import type { Policy, Rule } from '../../../../lib/core/policy/policy.ts'
import type { PolicyAction, Verdict } from '../../../../lib/core/policy/verdict.ts'
import { action, judge, policyOf } from './fixture.ts'

const STRICTNESS = { allow: 0, require_approval: 1, deny: 2 }

describe('precedence', () => {
  const deny = '- { id: no, match: { tool: "pay*" }, action: deny }'
  const ask = '- { id: ask, match: { tool: "pay*" }, action: require_approval }'
  const allow = '- { id: yes, match: { tool: pay.out }, action: allow }'

  it.each([
    [[deny, ask, allow], 'deny', ['no']],
    [[allow, ask, deny], 'deny', ['no']],
    [[allow, ask], 'require_approval', ['ask']],
    [[ask, allow], 'require_approval', ['ask']],
    [[allow], 'allow', ['yes']],
  ])('of %j is %s', (rules, effect, ids) => {
    const verdict = judge(rules.join('\n'))(action('pay.out'))
    expect(verdict).toMatchObject({ effect, matched: true, rule: { ids } })
    expect(verdict.approval === undefined).toBe(effect !== 'require_approval')
  })

  it('falls to the default when no rule speaks', () => {
    const one = judge(deny)(action('read'))
    expect(one).toMatchObject({
      effect: 'allow',
      matched: false,
      risk: 'low',
      rule: { id: 'default', ids: ['default'] },
    })
    const other = judge(ask, 'version: 1\ndefault: deny')(action('read'))
    expect(other).toMatchObject({
      effect: 'deny',
      matched: false,
      rule: { why: ['No rule matched; the default is deny.'] },
    })
    expect(other.rule.revision).not.toBe(one.rule.revision)
  })

  it('lets a wildcard that asks open nothing that the default denies', () => {
    const verdict = judge(
      '- { id: ask, match: { tool: "*" }, when: [{ path: args.a, gt: 1 }], action: require_approval }',
      'version: 1\ndefault: deny',
    )
    expect(verdict(action('x', { a: 1 })).effect).toBe('deny')
    expect(verdict(action('x', { a: 2 })).effect).toBe('require_approval')
  })
})

describe('several approvals', () => {
  const verdict = judge(`
- id: money
  description: Money leaves.
  match: { tool: pay }
  when: [{ path: args.amount, gt: 50 }]
  action: require_approval
  approval: { timeout: 15m, approvers: ["group:finance", alice], threshold: { approve: 2, deny: 2 }, reasonRequired: [deny], onDisconnect: keep }
  risk: low
- id: night
  match: { tool: "p*" }
  action: require_approval
  approval: { timeout: 2m, approvers: [alice, bob], reasonRequired: [approve, deny] }
  risk: critical
`)

  it('take the strictest part of each', () => {
    const { approval, risk, rule } = verdict(action('pay', { amount: 51 }))
    expect(approval).toEqual({
      timeoutMs: 120_000,
      approvers: ['group:finance', 'alice', 'bob'],
      requirements: [
        { rule: 'money', anyOf: ['group:finance', 'alice'], approve: 2 },
        { rule: 'night', anyOf: ['alice', 'bob'], approve: 1 },
      ],
      threshold: { approve: 2, deny: 1 },
      reasonRequired: ['deny', 'approve'],
      onDisconnect: 'cancel',
      denialMemoryMs: 300_000,
    })
    expect(risk).toBe('critical')
    expect(rule).toMatchObject({
      id: 'money',
      ids: ['money', 'night'],
      why: ['Money leaves.', 'args.amount is over 50', 'The rule night matched.'],
    })
  })

  it('say nothing of the rules that did not match', () => {
    const { approval, rule } = verdict(action('pay', { amount: 50 }))
    expect(rule.ids).toEqual(['night'])
    expect(approval?.threshold).toEqual({ approve: 1, deny: 1 })
  })

  it('are open to everybody when one of them is', () => {
    const open = judge(`
- { id: a, match: { tool: x }, action: require_approval, approval: { approvers: [alice] } }
- { id: b, match: { tool: x }, action: require_approval }`)(action('x'))
    expect(open.approval?.approvers).toEqual([])
    expect(open.approval?.requirements).toEqual([
      { rule: 'a', anyOf: ['alice'], approve: 1 },
      { rule: 'b', anyOf: [], approve: 1 },
    ])
  })

  it('take timeout and memory from the settings', () => {
    const head = 'version: 1\ndefault: allow\nsettings: { timeout: 90s, denialMemory: 0s }'
    const { approval } = judge('- { id: a, match: { tool: x }, action: require_approval }', head)(action('x'))
    expect(approval).toMatchObject({ timeoutMs: 90_000, denialMemoryMs: 0, onDisconnect: 'cancel' })
  })
})

describe('what cannot be judged', () => {
  it('counts, and the reason says so without the value', () => {
    const verdict = judge(
      '- { id: big, match: { tool: pay }, when: [{ path: args.amount, gt: 50 }], action: require_approval }',
    )
    expect(verdict(action('pay', { amount: 'hunter2' }))).toMatchObject({
      effect: 'require_approval',
      rule: { why: ['The rule big matched.', 'args.amount cannot be judged, so it counts: is over 50'] },
    })
  })

  it('is denied where a rule fails', () => {
    const compiled = compilePolicy(
      policyOf('version: 1\nrules: [{ id: r, match: { tool: x }, when: [{ path: args.a, eq: 1 }], action: allow }]'),
    )
    const hostile = {
      get a() {
        throw new Error('no')
      },
    } as unknown as Json
    expect(evaluate(compiled, action('x', hostile))).toMatchObject({
      effect: 'deny',
      matched: true,
      rule: { id: 'r', why: ['The rule r could not be judged.'] },
    })
  })
})

describe('names', () => {
  it('are compared without regard to case where that is stricter', () => {
    const verdict = judge(
      `
- { id: ask, match: { tool: "Delete*", agent: "Bill*" }, action: require_approval }
- { id: yes, match: { tool: Read }, action: allow }`,
      'version: 1\ndefault: deny',
    )
    expect(verdict(action('delete/all')).effect).toBe('require_approval')
    expect(verdict(action('DELETE')).effect).toBe('require_approval')
    expect(verdict(action('Read')).effect).toBe('allow')
    expect(verdict(action('read')).effect).toBe('deny')
  })

  it('of agents narrow a rule', () => {
    const verdict = judge('- { id: no, match: { tool: "*", agent: [billing, "ci-*"] }, action: deny }')
    expect(verdict(action('x')).effect).toBe('deny')
    expect(verdict(action('x', {}, { agent: { name: 'ci-7' } })).effect).toBe('deny')
    expect(verdict(action('x', {}, { agent: { name: 'support' } })).effect).toBe('allow')
  })
})

describe('risk', () => {
  const verdict = judge(`
- { id: ask, match: { tool: ask }, action: require_approval }
- { id: small, match: { tool: small }, action: require_approval, risk: low }
- { id: yes, match: { tool: yes }, action: allow }`)
  const risk = (tool: string, said?: string) =>
    verdict(action(tool, {}, { context: said === undefined ? {} : { risk: said } })).risk

  it('is what the rules say, and medium where they ask without a word', () => {
    expect(risk('ask')).toBe('medium')
    expect(risk('small')).toBe('low')
    expect(risk('yes')).toBe('low')
  })

  it('is raised by the agent, and never lowered', () => {
    expect(risk('ask', 'critical')).toBe('critical')
    expect(risk('ask', 'low')).toBe('medium')
    expect(risk('small', 'medium')).toBe('medium')
    expect(risk('small', 'harmless, trust me')).toBe('high')
    expect(risk('ask', 'HIGH')).toBe('high')
  })
})

describe('revisions', () => {
  const text = (amount: number, more = '') => `version: 1
default: allow
settings: { timeout: 5m${more} }
rules:
  - { id: big, match: { tool: pay }, when: [{ path: args.amount, gt: ${amount} }], action: require_approval }
  - { id: other, match: { tool: read }, action: allow }`
  const revision = (policy: string) =>
    evaluate(compilePolicy(policyOf(policy)), action('pay', { amount: 99 })).rule.revision

  it('are 16 hex digits that change with the rules that spoke and their settings', () => {
    expect(revision(text(50))).toMatch(/^[0-9a-f]{16}$/)
    expect(revision(text(51))).not.toBe(revision(text(50)))
    expect(revision(text(50).replace('5m', '6m'))).not.toBe(revision(text(50)))
    expect(revision(text(50, ', denialMemory: 1m'))).not.toBe(revision(text(50)))
  })

  it('stay when other rules, comments or the layout change', () => {
    expect(revision(text(50).replace('tool: read', 'tool: reads'))).toBe(revision(text(50)))
    expect(revision(`# a comment\n${text(50)}`)).toBe(revision(text(50)))
    expect(revision(text(50).replace('5m', '300s'))).toBe(revision(text(50)))
  })

  it('of the whole policy change with any rule, and not with their order', () => {
    const policy = policyOf(text(50))
    const whole = compilePolicy(policy).revision
    expect(compilePolicy({ ...policy, rules: policy.rules.toReversed() }).revision).toBe(whole)
    expect(compilePolicy(policyOf(text(50).replace('tool: read', 'tool: reads'))).revision).not.toBe(whole)
    expect(compilePolicy({ ...policy, default: 'deny' }).revision).not.toBe(whole)
  })
})

const scalar = fc.constantFrom<(string | number | boolean | null)[]>('a', 'prod', 5, 50000, true, null)
const condition = fc
  .tuple(fc.constantFrom('args.a', 'args.b.c', 'args.list[*]', 'context.risk'), scalar, fc.nat(6))
  .map(([path, value, pick]) => {
    const text = typeof value === 'string' ? value : 'x'
    const number = typeof value === 'number' ? value : 1
    const operators = [
      { eq: value },
      { neq: value },
      { in: [value] },
      { gt: number },
      { contains: text },
      { matches: text },
      { exists: value === true },
    ]
    return JSON.stringify({ path, ...operators[pick] })
  })
const rules = fc
  .array(
    fc.record({
      tool: fc.constantFrom('*', 'a*', 'pay', '*.x', 'A.X', 'pay.*'),
      action: fc.constantFrom<Rule['action']>('allow', 'deny', 'require_approval'),
      when: fc.array(condition, { maxLength: 2 }),
      risk: fc.option(fc.constantFrom('low', 'high', 'critical')),
      approval: fc.record({
        timeout: fc.constantFrom('1m', '5m'),
        approvers: fc.constantFrom([], ['alice', 'bob'], ['group:x']),
        threshold: fc.constantFrom({ approve: 1 }, { approve: 2, deny: 2 }),
        reasonRequired: fc.constantFrom([], ['deny'], ['approve']),
        onDisconnect: fc.constantFrom('keep', 'cancel'),
      }),
    }),
    { maxLength: 8 },
  )
  .map((drawn) =>
    policyOf(
      JSON.stringify({
        version: 1,
        default: 'deny',
        rules: drawn.map(({ tool, action: word, when, risk, approval }, index) => ({
          id: `r${index}`,
          match: { tool },
          action: word,
          when: when.map((each) => JSON.parse(each) as unknown),
          ...(risk === null ? {} : { risk }),
          ...(word === 'require_approval' ? { approval } : {}),
        })),
      }),
    ),
  )
const value = fc.oneof(scalar, fc.constantFrom<Json[]>('50000', [], ['a', 5], { c: 'prod' }))
const given: fc.Arbitrary<PolicyAction> = fc
  .tuple(
    fc.constantFrom('a', 'pay', 'pay.x', 'a.x', 'A.X', 'zzz'),
    fc.oneof(
      fc.dictionary(fc.constantFrom('a', 'b', 'list'), value, { maxKeys: 3 }) as fc.Arbitrary<Json>,
      fc.jsonValue() as fc.Arbitrary<Json>,
    ),
    fc.constantFrom(undefined, 'low', 'critical', 'odd'),
  )
  .map(([tool, args, risk]) => action(tool, args, { context: risk === undefined ? {} : { risk } }))

const verdictOf = (policy: Policy, act: PolicyAction): Verdict => evaluate(compilePolicy(policy), act)
const sorted = (list: readonly unknown[]): string[] => list.map((each) => JSON.stringify(each)).sort()

/** A verdict without the order in which its rules are named. */
const unordered = ({ effect, matched, risk, rule, approval }: Verdict) => ({
  effect,
  matched,
  risk,
  revision: rule.revision,
  ids: sorted(rule.ids),
  why: sorted(rule.why),
  approval: approval && {
    ...approval,
    approvers: sorted(approval.approvers),
    requirements: sorted(approval.requirements),
    reasonRequired: sorted(approval.reasonRequired),
  },
})

describe('for any policy and any action', () => {
  it('the order of the rules changes nothing', () => {
    fc.assert(
      fc.property(rules, fc.infiniteStream(fc.nat()), given, (policy, keys, act) => {
        const shuffled = policy.rules
          .map((each) => ({ each, key: keys.next().value ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ each }) => each)
        expect(unordered(verdictOf({ ...policy, rules: shuffled }, act))).toEqual(unordered(verdictOf(policy, act)))
      }),
      { numRuns: 300 },
    )
  })

  it('one more rule that denies or asks never allows more', () => {
    fc.assert(
      fc.property(
        rules,
        rules,
        given,
        fc.constantFrom<('allow' | 'deny')[]>('allow', 'deny'),
        (policy, extra, act, fallback) => {
          const more = extra.rules
            .filter((each) => each.action === 'deny')
            .map((each) => ({ ...each, id: `x${each.id}` }))
          const before = verdictOf({ ...policy, default: fallback }, act)
          const after = verdictOf({ ...policy, default: fallback, rules: [...policy.rules, ...more] }, act)
          expect(STRICTNESS[after.effect]).toBeGreaterThanOrEqual(STRICTNESS[before.effect])
        },
      ),
      { numRuns: 300 },
    )
  })

  it('the index finds the rules that a look at each would find', () => {
    fc.assert(
      fc.property(rules, given, (policy, act) => {
        const speaking = policy.rules.filter((each) => verdictOf({ ...policy, rules: [each] }, act).matched)
        const top = Math.max(...speaking.map((each) => STRICTNESS[each.action]))
        const ids = speaking.filter((each) => STRICTNESS[each.action] === top).map(({ id }) => id)
        expect(verdictOf(policy, act).rule.ids).toEqual(ids.length === 0 ? ['default'] : ids)
      }),
      { numRuns: 300 },
    )
  })

  it('a verdict comes, and says what an approval needs', () => {
    fc.assert(
      fc.property(rules, fc.string(), fc.jsonValue(), fc.jsonValue(), (policy, tool, args, context) => {
        const act = action(tool, args as Json, { context: { risk: context as string } })
        const { effect, approval } = verdictOf(policy, act)
        expect(approval !== undefined).toBe(effect === 'require_approval')
      }),
      { numRuns: 300 },
    )
  })
})
