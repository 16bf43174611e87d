import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../../lib/core/policy/evaluate.ts'
import { boundOpinion, escalated, type Opinion, weigh } from '../../../../lib/core/policy/opinion.ts'
import { LEVELS, POWERS, type Power } from '../../../../lib/core/policy/policy.ts'
import type { Verdict } from '../../../../lib/core/policy/verdict.ts'
import { action, policyOf } from './fixture.ts'

const POLICY = compilePolicy(
  policyOf(`
version: 1
default: allow
rules:
  - { id: ask, match: { tool: ask }, action: require_approval }
  - { id: grave, match: { tool: grave }, action: require_approval, risk: critical }
  - { id: named, match: { tool: named }, action: require_approval, approval: { approvers: [alice] } }
  - { id: two, match: { tool: two }, action: require_approval, approval: { threshold: { approve: 2, deny: 1 } } }
  - { id: reason, match: { tool: reason }, action: require_approval, approval: { reasonRequired: [approve] } }
  - { id: no, match: { tool: no }, action: deny }
evaluators:
  external: [{ id: judge, url: "https://judge.example" }]
`),
)
const TOOLS = ['run', 'ask', 'grave', 'named', 'two', 'reason', 'no'] as const
const verdictOf = (tool: string): Verdict => evaluate(POLICY, action(tool))
const judge = (may: readonly Power[]) => ({ id: 'judge', may })
const ALL = judge(POWERS)
const approve: Opinion = { type: 'approve', reason: null }

const effectOf = (tool: string, may: readonly Power[], opinion: Opinion, level = 'semi') => {
  const verdict = verdictOf(tool)
  return weigh(verdict, [boundOpinion(verdict, judge(may), opinion, level)]).effect
}

describe('one opinion', () => {
  it.each<[Opinion, readonly Power[], string, string]>([
    [{ type: 'deny', reason: null }, ['deny'], 'run', 'deny'],
    [{ type: 'deny', reason: null }, ['escalate'], 'run', 'require_approval'],
    [{ type: 'deny', reason: null }, ['approve'], 'run', 'allow'],
    [{ type: 'deny', reason: null }, ['approve'], 'ask', 'require_approval'],
    [{ type: 'escalate', reason: null }, ['escalate'], 'run', 'require_approval'],
    [{ type: 'escalate', reason: null }, ['deny'], 'run', 'allow'],
    [{ type: 'suggest', edits: { a: 1 }, reason: null }, ['suggest'], 'run', 'require_approval'],
    [{ type: 'suggest', edits: { a: 1 }, reason: null }, [], 'run', 'allow'],
    [{ type: 'failed', reason: 'late' }, [], 'run', 'require_approval'],
    [approve, ['deny', 'escalate', 'suggest'], 'ask', 'require_approval'],
    [approve, ['approve'], 'ask', 'allow'],
    [approve, ['approve'], 'run', 'allow'],
    [approve, POWERS, 'grave', 'require_approval'],
    [approve, POWERS, 'named', 'require_approval'],
    [approve, POWERS, 'two', 'require_approval'],
    [approve, POWERS, 'reason', 'require_approval'],
    [approve, POWERS, 'no', 'deny'],
  ])('%j of one that may %j, on %s: %s', (opinion, may, tool, effect) => {
    expect(effectOf(tool, may, opinion)).toBe(effect)
  })

  it('lifts an ask at full and semi, never at supervised, locked or a level that nobody knows', () => {
    const lifted = [...LEVELS, 'owner'].filter((level) => effectOf('ask', POWERS, approve, level) === 'allow')
    expect(lifted).toEqual(['full', 'semi'])
  })

  it('lifts what a level asks for too', () => {
    const strict = compilePolicy(
      policyOf(
        'version: 1\ndefault: allow\nautonomy: { levels: { semi: { ask: ["*"] } } }\nclassify: [{ label: a, match: { tool: "*" } }]',
      ),
    )
    const verdict = evaluate(strict, action('run'))
    expect(verdict.effect).toBe('require_approval')
    expect(weigh(verdict, [boundOpinion(verdict, ALL, approve, 'semi')])).toMatchObject({
      effect: 'allow',
      by: ['judge'],
    })
  })

  it('shows its words bounded and without secrets', () => {
    const reason = `because ghp_${'a1B2'.repeat(9)} ${'x'.repeat(2_000)}`
    const { finding } = boundOpinion(verdictOf('run'), ALL, { type: 'escalate', reason }, 'semi')
    expect(finding).toMatchObject({ detector: 'evaluator/judge', severity: 'medium', path: null })
    expect(finding!.message).toMatch(/^Wants a person to see it: because \[redacted\]/)
    expect(finding!.message.length).toBeLessThan(600)
  })

  it.each([
    { token: 'hunter2' },
    { note: '[redacted]' },
    { text: 'x'.repeat(5_000) },
    { a: `ghp_${'a1B2'.repeat(9)}` },
  ])('suggests no edits that cannot be shown as they are', (edits) => {
    const bound = boundOpinion(verdictOf('ask'), ALL, { type: 'suggest', edits, reason: null }, 'semi')
    expect(bound).toMatchObject({ says: 'ask', suggestion: null })
    expect(JSON.stringify(bound)).not.toMatch(/hunter2|ghp_/)
  })

  it('suggests edits that only differ in nulls, unicode and nesting', () => {
    const edits = { a: null, b: { c: ['ä\u202e', 1.5, true] } }
    const bound = boundOpinion(verdictOf('ask'), ALL, { type: 'suggest', edits, reason: 'r' }, 'semi')
    expect(bound.suggestion).toEqual({ by: 'judge', edits: JSON.stringify(edits), reason: 'r' })
  })
})

const RANK = { allow: 0, require_approval: 1, deny: 2 }
const opinions = fc.oneof(
  fc.record({ type: fc.constantFrom('approve', 'deny', 'escalate'), reason: fc.option(fc.string(), { nil: null }) }),
  fc.record({ type: fc.constant('suggest'), edits: fc.constant({ a: 1 }), reason: fc.constant(null) }),
  fc.record({ type: fc.constant('failed'), reason: fc.string() }),
) as fc.Arbitrary<Opinion>
const level = fc.constantFrom(...LEVELS, 'owner')
const tool = fc.constantFrom(...TOOLS)

describe('several opinions', () => {
  it('only tighten, where none of them may approve', () => {
    const may = fc.subarray(POWERS.filter((power) => power !== 'approve'))
    fc.assert(
      fc.property(tool, level, fc.array(fc.tuple(may, opinions), { maxLength: 4 }), (name, at, heard) => {
        const verdict = verdictOf(name)
        const { effect } = weigh(
          verdict,
          heard.map(([powers, opinion]) => boundOpinion(verdict, judge(powers), opinion, at)),
        )
        expect(RANK[effect]).toBeGreaterThanOrEqual(RANK[verdict.effect])
      }),
    )
  })

  it('lift an ask only where all approve, and never a denial; one more that does not approve never loosens', () => {
    const powers = fc.subarray([...POWERS])
    fc.assert(
      fc.property(
        tool,
        level,
        fc.array(fc.tuple(powers, opinions), { maxLength: 4 }),
        powers,
        opinions,
        (name, at, heard, more, last) => {
          const verdict = verdictOf(name)
          const bounds = heard.map(([may, opinion]) => boundOpinion(verdict, judge(may), opinion, at))
          const before = weigh(verdict, bounds).effect
          if (RANK[before] < RANK[verdict.effect]) {
            expect(verdict.effect).toBe('require_approval')
            expect(heard.every(([, { type }]) => type === 'approve')).toBe(true)
            expect(['full', 'semi']).toContain(at)
          }
          if (last.type === 'approve') return
          const after = weigh(verdict, [...bounds, boundOpinion(verdict, judge(more), last, at)]).effect
          expect(RANK[after]).toBeGreaterThanOrEqual(RANK[before])
        },
      ),
    )
  })

  it('do not depend on their order', () => {
    fc.assert(
      fc.property(
        tool,
        level,
        fc.array(fc.tuple(fc.subarray([...POWERS]), opinions), { maxLength: 4 }),
        (name, at, heard) => {
          const verdict = verdictOf(name)
          const bounds = heard.map(([may, opinion]) => boundOpinion(verdict, judge(may), opinion, at))
          expect(weigh(verdict, bounds.toReversed()).effect).toBe(weigh(verdict, bounds).effect)
        },
      ),
    )
  })
})

it('what an evaluator asks for is tied to the rules and the evaluators, and not to what was said', () => {
  const asked = escalated(POLICY, verdictOf('run'))
  expect(asked).toMatchObject({
    effect: 'require_approval',
    matched: true,
    risk: 'medium',
    rule: { id: 'evaluators', ids: ['evaluators'], revision: expect.stringMatching(/^[0-9a-f]{16}$/) },
    approval: { approvers: [], requirements: [{ rule: 'evaluators', anyOf: [], approve: 1 }] },
  })
  const other = compilePolicy(
    policyOf('version: 1\ndefault: allow\nevaluators: { external: [{ id: b, url: "https://b.example" }] }'),
  )
  expect(escalated(other, evaluate(other, action('run'))).rule.revision).not.toBe(asked.rule.revision)
})

it('no rule may take the name that stands for the evaluators', () => {
  expect(() => policyOf('version: 1\nrules: [{ id: evaluators, match: { tool: x }, action: deny }]')).toThrow(
    'stands for the evaluators',
  )
})
