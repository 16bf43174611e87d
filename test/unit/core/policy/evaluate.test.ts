import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/core/canonical-json.ts'
import type { ToolAction } from '../../../../lib/core/policy/action.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate, explain } from '../../../../lib/core/policy/evaluate.ts'
import { action, judge, policyOf } from './fixture.ts'

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

it('denies an action of which not even the rules can be found', () => {
  const nameless = { ...action('x'), tool: undefined as unknown as string }
  const verdict = judge('- { id: all, match: { tool: "x*" }, action: allow }')(nameless)
  expect(verdict).toMatchObject({ effect: 'deny', matched: false, risk: 'high' })
  expect(verdict.rule.why).toEqual(['The action could not be judged.'])
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
      warnAfterMs: 96_000,
      escalation: [],
      onTimeout: 'deny',
      dedupeWindowMs: null,
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

  it('join the same call for as long as the strictest does, whichever comes first', () => {
    const window = (one: string, other: string) =>
      judge(`
- { id: a, match: { tool: x }, action: require_approval, approval: { ${one} } }
- { id: b, match: { tool: x }, action: require_approval, approval: { ${other} } }`)(action('x')).approval
        ?.dedupeWindowMs
    expect(window('dedupeWindow: 5m', 'dedupeWindow: 2m')).toBe(120_000)
    expect(window('dedupeWindow: 2m', 'dedupeWindow: 5m')).toBe(120_000)
    expect(window('timeout: 2m', 'dedupeWindow: 5m')).toBe(300_000)
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

  it('take the steps of each in the order of their time, and the strictest of the rest', () => {
    const { approval } = judge(`
- { id: a, match: { tool: x }, action: require_approval, approval: { approvers: [alice], timeout: 10m, warn: 1m, dedupeWindow: 5m, onTimeout: escalate, escalation: [{ after: 5m, approvers: [bob] }, { channels: [pager] }] } }
- { id: b, match: { tool: x }, action: require_approval, approval: { timeout: 20m, warn: 25%, escalation: [{ after: 2m, channels: [oncall] }] } }`)(
      action('x'),
    )
    expect(approval).toMatchObject({
      timeoutMs: 600_000,
      warnAfterMs: 300_000,
      onTimeout: 'deny',
      dedupeWindowMs: 300_000,
      escalation: [
        { rule: 'b', afterMs: 120_000, approvers: [], channels: ['oncall'] },
        { rule: 'a', afterMs: 300_000, approvers: ['bob'], channels: [] },
        { rule: 'a', afterMs: 600_000, approvers: [], channels: ['pager'] },
      ],
    })
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

describe('rate limits', () => {
  const rules = `
- { id: yes, match: { tool: pay }, action: allow }
- { id: ask, match: { tool: pay }, when: [{ path: args.amount, gt: 50 }], action: require_approval }
- { id: calm, match: { tool: "p*" }, action: rate_limit, rate_limit: { limit: 5, window: 1h, key: KEY } }`
  const verdict = (key: string, more = {}, args: Json = {}) =>
    judge(rules.replace('KEY', key), 'version: 1\ndefault: deny')(action('pay', args, more))
  const keyOf = (...given: Parameters<typeof verdict>) => verdict(...given).limits[0]?.key

  it('bind what is allowed and what is asked', () => {
    expect(verdict('agent')).toMatchObject({
      effect: 'allow',
      rule: { id: 'yes', ids: ['yes', 'calm'] },
      limits: [{ ruleId: 'calm', limit: 5, windowMs: 3_600_000 }],
    })
    expect(verdict('agent', {}, { amount: 60 })).toMatchObject({
      effect: 'require_approval',
      rule: { id: 'ask', ids: ['ask', 'calm'] },
      approval: { requirements: [{ rule: 'ask' }] },
      limits: [{ ruleId: 'calm' }],
    })
  })

  it('count by what the rule says, and the key tells nothing', () => {
    expect(keyOf('agent')).toMatch(/^[0-9a-f]{32}$/)
    expect(keyOf('agent')).toBe(keyOf('agent', { context: { session: 's' } }))
    expect(keyOf('agent')).not.toBe(keyOf('agent', { agent: { name: 'other' } }))
    expect(keyOf('session')).not.toBe(keyOf('session', { context: { session: 's' } }))
    expect(keyOf('session', { context: { session: 's' } })).not.toBe(
      keyOf('session', { context: { session: 's' }, agent: { name: 'other' } }),
    )
    expect(keyOf('tool')).toBe(keyOf('tool', { agent: { name: 'other' } }))
    expect(keyOf('[args.to]', {}, { to: 'a' })).not.toBe(keyOf('[args.to]', {}, { to: 'b' }))
    expect(keyOf('[args.to]', {}, { to: 'a' })).toBe(keyOf('[args.to]', {}, { to: 'A\u200b' }))
    expect(keyOf('[args.to]', {}, { to: 5 })).toBe(keyOf('[args.to]', {}, { to: '5' }))
  })

  it('say which default decided beside them', () => {
    const alone = judge(
      '- { id: calm, match: { tool: pay }, action: rate_limit, rate_limit: { limit: 1, window: 1m } }',
    )
    expect(alone(action('pay'))).toMatchObject({
      effect: 'allow',
      matched: false,
      rule: { id: 'default', ids: ['default', 'calm'] },
      limits: [{ ruleId: 'calm' }],
    })
  })
})

describe('levels', () => {
  const verdict = judge(
    '- { id: yes, match: { tool: deploy }, action: allow, risk: high }',
    'version: 1\ndefault: allow\nsettings: { timeout: 2m }\nclassify: [{ label: "deploy:production", match: { tool: deploy } }]',
  )

  it('ask where the rules would allow, and say so', () => {
    const { rule, ...rest } = verdict(action('deploy'))
    expect(rest).toEqual({
      effect: 'require_approval',
      matched: true,
      risk: 'high',
      approval: {
        timeoutMs: 120_000,
        approvers: [],
        requirements: [{ rule: 'autonomy', anyOf: [], approve: 1 }],
        threshold: { approve: 1, deny: 1 },
        reasonRequired: [],
        onDisconnect: 'cancel',
        denialMemoryMs: 300_000,
        warnAfterMs: 96_000,
        escalation: [],
        onTimeout: 'deny',
        dedupeWindowMs: null,
      },
      limits: [],
      autonomy: { level: 'semi', categories: ['deploy:production'] },
      shadow: [],
    })
    expect(rule).toMatchObject({
      id: 'autonomy',
      ids: ['autonomy'],
      why: ['The level semi wants a person for deploy:production.'],
    })
  })

  it('are known to the revision', () => {
    const revision = (level: 'semi' | 'locked') =>
      verdict(action('deploy', {}, { agent: { name: 'a', autonomy: level } })).rule.revision
    expect(revision('semi')).not.toBe(revision('locked'))
    expect(verdict(action('deploy')).rule.revision).toBe(revision('semi'))
  })

  const session = (level: string) => ({ context: { autonomy: level } })

  it('are tightened by the session, and never loosened', () => {
    expect(verdict(action('read', {}, session('locked'))).autonomy).toEqual({ level: 'locked', categories: [] })
    expect(verdict(action('deploy', {}, session('full'))).autonomy?.level).toBe('semi')
    expect(verdict(action('read', {}, session('full'))).effect).toBe('allow')
    expect(verdict(action('read', {}, session('free'))).autonomy?.level).toBe('locked')
  })

  it('of a session cannot loosen by what the file makes of their names', () => {
    const odd = judge(
      '- { id: other, match: { tool: other }, action: deny }',
      'version: 1\ndefault: allow\nautonomy: { levels: { locked: { alone: ["*"], ask: [] }, semi: { alone: [] } } }',
    )
    expect(odd(action('read', {}, session('locked'))).autonomy?.level).toBe('semi')
  })

  it('that nobody knows let nothing run alone', () => {
    const odd = { name: 'a', autonomy: 'free' } as unknown as ToolAction['agent']
    expect(verdict(action('read', {}, { agent: odd }))).toMatchObject({
      effect: 'require_approval',
      autonomy: { level: 'locked', categories: [] },
    })
  })
})

describe('shadow rules', () => {
  const verdict = judge(`
- { id: yes, match: { tool: x }, action: allow }
- { id: trial, description: A trial., match: { tool: x }, when: [{ path: args.a, gt: 1 }], action: deny, mode: shadow, risk: critical }`)

  it('are told of, and have no say', () => {
    expect(verdict(action('x', { a: 2 }))).toMatchObject({
      effect: 'allow',
      risk: 'low',
      rule: { id: 'yes', ids: ['yes'] },
      shadow: [{ ruleId: 'trial', action: 'deny', why: ['A trial.', 'args.a is over 1'] }],
    })
    expect(verdict(action('x', { a: 1 })).shadow).toEqual([])
    expect(verdict(action('x', { a: 2 })).rule.revision).toBe(verdict(action('x', { a: 1 })).rule.revision)
  })
})

describe('why', () => {
  it('names what held, through any, all and not', () => {
    const verdict = judge(`
- id: r
  description: Deploys.
  match: { tool: deploy }
  when:
    - any:
        - { path: args.env, eq: prod }
        - all: [{ path: args.env, eq: stage }, { not: { path: args.dry, eq: true } }]
    - { expr: "args.n > 1.0" }
  action: require_approval`)
    expect(verdict(action('deploy', { env: 'stage', n: 2 })).rule.why).toEqual([
      'Deploys.',
      'args.env is "stage"; and it does not hold that args.dry is true',
      'expr args.n > 1.0',
    ])
    expect(verdict(action('deploy', { env: ['hunter2'] })).rule.why).toEqual([
      'Deploys.',
      'args.env cannot be judged, so it counts: is "prod"',
      'expr args.n > 1.0 cannot be judged, so it counts',
    ])
  })

  it('lists the rules that were overruled', () => {
    const compiled = compilePolicy(
      policyOf(`version: 1
rules:
  - { id: yes, match: { tool: x }, action: allow }
  - { id: no, match: { tool: x }, action: deny }
  - { id: calm, match: { tool: x }, action: rate_limit, rate_limit: { limit: 1, window: 1m } }
  - { id: trial, match: { tool: x }, action: require_approval, mode: shadow }
  - { id: other, match: { tool: y }, action: deny }`),
    )
    const { verdict, heard } = explain(compiled, action('x'))
    expect(verdict).toEqual(evaluate(compiled, action('x')))
    expect(heard().map(({ ruleId, part }) => [ruleId, part])).toEqual([
      ['yes', 'overruled'],
      ['no', 'spoke'],
      ['calm', 'overruled'],
      ['trial', 'shadow'],
    ])
  })
})
