import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Json } from '../../../../lib/core/canonical-json.ts'
import type { PolicyAction } from '../../../../lib/core/policy/action.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate, explain } from '../../../../lib/core/policy/evaluate.ts'
import { Facts } from '../../../../lib/core/policy/facts.ts'
import { compileGlob } from '../../../../lib/core/policy/glob.ts'
import { compilePathGlob } from '../../../../lib/core/policy/path-glob.ts'
import { LEVELS, type Level, type Policy, type Rule } from '../../../../lib/core/policy/policy.ts'
import { STARTER_POLICY } from '../../../../lib/core/policy/starter.ts'
import { normaliseTarget, type Target } from '../../../../lib/core/policy/target.ts'
import type { Verdict } from '../../../../lib/core/policy/verdict.ts'
import { action, policyOf } from './fixture.ts'

const STRICTNESS = { allow: 0, require_approval: 1, deny: 2 }

const scalar = fc.constantFrom<(string | number | boolean | null)[]>('a', 'prod', 5, 50000, true, null)
const path = fc.constantFrom(
  ...[
    'args.a',
    'args.b.c',
    'args.list[*]',
    'context.risk',
    'query.a',
    'headers.x',
    'body.a',
    'body.list[*].a',
    'body[*].b',
  ],
)
const leaf = fc.oneof(
  fc.tuple(path, scalar, fc.nat(6)).map(([at, value, pick]) => {
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
    return { path: at, ...operators[pick] } as object
  }),
  fc
    .constantFrom(
      'args.a == "a"',
      'args.a > 5.0',
      'has(context.risk)',
      '"a" in query.a',
      'body.list.exists(e, e > 1)',
      '!has(body.a)',
    )
    .map((expr) => ({ expr }) as object),
)
const { condition } = fc.letrec<{ condition: object }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie('condition').map((not) => ({ not })),
    fc.array(tie('condition'), { minLength: 1, maxLength: 2 }).map((any) => ({ any })),
    fc.array(tie('condition'), { minLength: 1, maxLength: 2 }).map((all) => ({ all })),
  ),
}))
const match = fc.oneof(
  fc.record({ tool: fc.constantFrom('*', 'a*', 'pay', '*.x', 'A.X', 'pay.*', 'mcp__*') }),
  fc.record({ server: fc.constantFrom('fs', 'f*'), tool: fc.constantFrom('a', '*') }),
  fc.record(
    {
      host: fc.constantFrom('x.example', '*.example', '127.0.0.1'),
      path: fc.constantFrom('/v1/*', '/v1', '/**', '/a/*/b', '/**/b', '/a%2Fb'),
      method: fc.constantFrom('GET', 'P*', 'DELETE'),
      upstream: fc.constantFrom('up', '*'),
    },
    { requiredKeys: ['host'] },
  ),
  fc.record({ agent: fc.constantFrom('billing', 'b*', '*') }),
  fc.record({ labels: fc.constantFrom('pii', '*'), session: fc.constantFrom('s*', '*') }, { requiredKeys: ['labels'] }),
)
const rule = fc.record({
  match,
  action: fc.constantFrom<Rule['action']>('allow', 'deny', 'require_approval', 'rate_limit'),
  when: fc.array(condition, { maxLength: 2 }),
  risk: fc.option(fc.constantFrom('low', 'high', 'critical')),
  isShadow: fc.nat(5).map((drawn) => drawn === 0),
  key: fc.constantFrom<(string | string[])[]>('agent', 'session', 'tool', ['args.a', 'context.user']),
  approval: fc.record({
    timeout: fc.constantFrom('1m', '5m'),
    approvers: fc.constantFrom([], ['alice', 'bob'], ['group:x']),
    threshold: fc.constantFrom({ approve: 1 }, { approve: 2, deny: 2 }),
    reasonRequired: fc.constantFrom([], ['deny'], ['approve']),
    onDisconnect: fc.constantFrom('keep', 'cancel'),
  }),
})
const policies = fc
  .record({
    rules: fc.array(rule, { maxLength: 8 }),
    fallback: fc.constantFrom('allow', 'deny'),
    classify: fc.array(
      fc.record({
        label: fc.constantFrom('a:read', 'a:delete', 'b:production'),
        match,
        when: fc.array(condition, { maxLength: 1 }),
      }),
      { maxLength: 3 },
    ),
    level: fc.constantFrom(...LEVELS),
  })
  .map(({ rules, fallback, classify, level }) =>
    policyOf(
      JSON.stringify({
        version: 1,
        default: fallback,
        autonomy: { default: level },
        classify,
        rules: rules.map(({ match: given, action: word, when, risk, isShadow, key, approval }, index) => ({
          id: `r${index}`,
          match: given,
          action: word,
          when,
          ...(risk === null ? {} : { risk }),
          ...(isShadow ? { mode: 'shadow' } : {}),
          ...(word === 'require_approval' ? { approval } : {}),
          ...(word === 'rate_limit' ? { rate_limit: { limit: 3, window: '1m', key } } : {}),
        })),
      }),
    ),
  )

const value = fc.oneof(scalar, fc.constantFrom<Json[]>('50000', [], ['a', 5], { c: 'prod' }, [{ a: 5 }, 3]))
const object = fc.oneof(
  fc.dictionary(fc.constantFrom('a', 'A', 'b', 'list', 'List', '_method'), value, { maxKeys: 3 }) as fc.Arbitrary<Json>,
  fc.jsonValue() as fc.Arbitrary<Json>,
)
const acting = fc.record({
  agent: fc.record(
    { name: fc.constantFrom('billing', 'B2', 'ci'), autonomy: fc.constantFrom<Level[]>(...LEVELS) },
    { requiredKeys: ['name'] },
  ),
  context: fc.record(
    {
      risk: fc.constantFrom('low', 'critical', 'odd'),
      session: fc.constantFrom('s1', 't'),
      labels: fc.constantFrom([], ['pii'], ['x', 'PII']),
    },
    { requiredKeys: [] },
  ),
})
const targets = fc
  .tuple(
    fc.constantFrom('x.example', 'Y.Example.', '127.1', 'other.test'),
    fc.constantFrom('/v1', '/v1/', '/v1%2Fa', '/V1/x', '/a/x/b', '/a;x/y/b', '/', '/a%2Fb'),
    fc.constantFrom('', '?a=a', '?A=5&a=prod', '?a=1;b=2', '?_method=DELETE', '?_method=GET;'),
  )
  .map(([authority, at, query]): Target => {
    const found = normaliseTarget({ scheme: 'https', authority, path: at + query })
    if (!found.ok) throw new Error(found.reason)
    return found.target
  })
const actions: fc.Arbitrary<PolicyAction> = fc.oneof(
  fc
    .tuple(acting, fc.constantFrom('a', 'pay', 'pay.x', 'A.X', 'mcp__fs__a', 'zzz'), object)
    .map(([by, tool, args]): PolicyAction => ({ kind: 'tool', tool, args, ...by })),
  fc.tuple(acting, fc.constantFrom('fs', 'FS', 'wiki'), fc.constantFrom('a', 'pay'), object, fc.boolean()).map(
    ([by, server, tool, args, trusted]): PolicyAction => ({
      kind: 'mcp',
      mcp: { server, tool, annotations: { readOnlyHint: true }, trusted },
      args,
      ...by,
    }),
  ),
  fc
    .tuple(
      acting,
      targets,
      fc.constantFrom('GET', 'post'),
      object,
      fc.nat(3),
      fc.constantFrom<Record<string, string[]>>({}, { x: ['a', 'prod'] }),
    )
    .map(([by, target, method, body, pick, headers]): PolicyAction => {
      const bodies = [
        { state: 'none' },
        { state: 'whole', value: body },
        { state: 'partly' },
        { state: 'unjudgeable', mayOverrideMethod: true },
      ] as const
      return { kind: 'http', http: { upstream: 'up', method, target, headers, body: bodies[pick] ?? bodies[0] }, ...by }
    }),
)

const verdictOf = (policy: Policy, act: PolicyAction): Verdict => evaluate(compilePolicy(policy), act)
const sorted = (list: readonly unknown[]): string[] => list.map((each) => JSON.stringify(each)).sort()

/** A verdict without the order in which its rules are named. */
const unordered = ({ rule: { id, ids, why, revision }, approval, limits, shadow, ...rest }: Verdict) => ({
  ...rest,
  revision,
  isNamed: ids.includes(id),
  ids: sorted(ids),
  why: sorted(why),
  limits: sorted(limits),
  shadow: sorted(shadow),
  approval: approval && {
    ...approval,
    approvers: sorted(approval.approvers),
    requirements: sorted(approval.requirements),
    reasonRequired: sorted(approval.reasonRequired),
  },
})

describe('for any policy and any action', { timeout: 60_000 }, () => {
  it('the order of the rules changes nothing', () => {
    fc.assert(
      fc.property(policies, fc.infiniteStream(fc.nat()), actions, (policy, keys, act) => {
        const shuffled = policy.rules
          .map((each) => ({ each, key: keys.next().value ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ each }) => each)
        expect(unordered(verdictOf({ ...policy, rules: shuffled }, act))).toEqual(unordered(verdictOf(policy, act)))
        expect(compilePolicy({ ...policy, rules: shuffled }).revision).toBe(compilePolicy(policy).revision)
      }),
      { numRuns: 150 },
    )
  })

  it('more rules that deny never allow more, and limits free nothing', () => {
    fc.assert(
      fc.property(policies, policies, actions, (policy, extra, act) => {
        const more = extra.rules
          .filter((each) => each.action === 'deny' || each.action === 'rate_limit')
          .map((each) => ({ ...each, id: `x${each.id}` }))
        const before = verdictOf(policy, act)
        const after = verdictOf({ ...policy, rules: [...policy.rules, ...more] }, act)
        expect(STRICTNESS[after.effect]).toBeGreaterThanOrEqual(STRICTNESS[before.effect])
        const limits = after.limits.map(({ ruleId }) => ruleId)
        if (after.effect !== 'deny') for (const { ruleId } of before.limits) expect(limits).toContain(ruleId)
      }),
      { numRuns: 150 },
    )
  })

  it('a level only tightens, and a tighter one never lets more', () => {
    fc.assert(
      fc.property(policies, actions, (policy, act) => {
        const at = (autonomy: Level) => verdictOf(policy, { ...act, agent: { ...act.agent, autonomy } })
        const bare = verdictOf({ ...policy, classify: [] }, { ...act, agent: { ...act.agent, autonomy: 'full' } })
        const effects = LEVELS.map((level) => STRICTNESS[at(level).effect])
        expect(effects[0]).toBe(STRICTNESS[bare.effect])
        for (const [index, effect] of effects.entries()) expect(effect).toBeGreaterThanOrEqual(effects[index - 1] ?? 0)
        for (const level of LEVELS) {
          const verdict = at(level)
          expect(verdict.autonomy !== undefined).toBe(verdict.effect !== bare.effect)
        }
      }),
      { numRuns: 150 },
    )
  })

  it('rules in the shadow change nothing', () => {
    fc.assert(
      fc.property(policies, actions, (policy, act) => {
        const { shadow: _, ...verdict } = verdictOf(policy, act)
        const { shadow, ...without } = verdictOf(
          { ...policy, rules: policy.rules.filter(({ mode }) => mode === 'enforce') },
          act,
        )
        expect(verdict).toEqual(without)
        expect(shadow).toEqual([])
      }),
      { numRuns: 100 },
    )
  })

  it('the index finds the rules that a look at each would find', () => {
    let spoke = 0
    fc.assert(
      fc.property(policies, actions, (policy, act) => {
        const alone = policy.rules.filter(
          (each) => explain(compilePolicy({ ...policy, rules: [each] }), act).heard().length > 0,
        )
        const heard = explain(compilePolicy(policy), act).heard()
        spoke += heard.length
        expect(heard.map(({ ruleId }) => ruleId)).toEqual(alone.map(({ id }) => id))
      }),
      { numRuns: 300 },
    )
    expect(spoke).toBeGreaterThan(100)
  })

  it('a rule that allows never speaks where the same rule that denies is silent', () => {
    fc.assert(
      fc.property(rule, actions, ({ match: given, when }, act) => {
        const as = (word: string, fallback: string) =>
          verdictOf(
            policyOf(
              JSON.stringify({
                version: 1,
                default: fallback,
                autonomy: { default: 'full' },
                rules: [{ id: 'r', match: given, when, action: word }],
              }),
            ),
            { ...act, agent: { name: act.agent.name } },
          ).effect
        if (as('allow', 'deny') === 'allow') expect(as('deny', 'allow')).toBe('deny')
      }),
      { numRuns: 500 },
    )
  })

  it('a verdict comes, whatever the action is', () => {
    const starter = compilePolicy(policyOf(STARTER_POLICY))
    fc.assert(
      fc.property(
        policies,
        fc.oneof(
          actions,
          fc.anything(),
          fc.record(
            {
              kind: fc.constantFrom('tool', 'http', 'mcp', 'x'),
              tool: fc.anything(),
              args: fc.anything(),
              http: fc.anything(),
              mcp: fc.anything(),
              agent: fc.anything(),
              context: fc.anything(),
            },
            { requiredKeys: ['kind'] },
          ),
        ),
        (policy, act) => {
          for (const compiled of [compilePolicy(policy), starter]) {
            const { effect, approval, rule } = evaluate(compiled, act as PolicyAction)
            expect(approval !== undefined).toBe(effect === 'require_approval')
            expect(rule.ids).toContain(rule.id)
          }
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('time is linear', { timeout: 30_000 }, () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Characters that the text functions may have looked at, at worst. */
  function steps(run: () => void): number {
    let count = 0
    const { indexOf, startsWith, endsWith } = String.prototype
    vi.spyOn(String.prototype, 'indexOf').mockImplementation(function (this: string, piece: string, from?: number) {
      const found = indexOf.call(this, piece, from)
      count += 1 + (found < 0 ? this.length : found) - (from ?? 0) + piece.length
      return found
    })
    vi.spyOn(String.prototype, 'startsWith').mockImplementation(function (this: string, piece: string) {
      count += 1 + piece.length
      return startsWith.call(this, piece)
    })
    vi.spyOn(String.prototype, 'endsWith').mockImplementation(function (this: string, piece: string) {
      count += 1 + piece.length
      return endsWith.call(this, piece)
    })
    run()
    vi.restoreAllMocks()
    return count
  }

  it.each<[string, string, (size: number) => string]>([
    ['stars between letters', `${'a*'.repeat(90)}b`, (size) => 'a'.repeat(size)],
    ['a piece that nearly fits everywhere', `*${'a'.repeat(90)}b*${'a'.repeat(90)}c`, (size) => 'a'.repeat(size)],
    ['only stars', '*'.repeat(180), (size) => 'ab'.repeat(size)],
  ])('in a name: %s', (_, glob, text) => {
    const fits = compileGlob(glob)
    const [small, large] = [2_000, 16_000].map((size) => steps(() => fits(text(size)))) as [number, number]
    expect(small).toBeGreaterThan(0)
    expect(large).toBeLessThanOrEqual(small * 8 + 1_000)
  })

  it.each<[string, string, (size: number) => string[]]>([
    ['many ** with what nearly fits', `/${'**/a/'.repeat(30)}b`, (size) => Array.from({ length: size }, () => 'a')],
    ['a long piece after **', `/**/${'a/'.repeat(60)}b/**/c`, (size) => Array.from({ length: size }, () => 'a')],
    ['stars in segments', `/**/${'*a*/'.repeat(20)}x`, (size) => Array.from({ length: size }, () => 'ba')],
  ])('in a path: %s', (_, glob, segments) => {
    const fits = compilePathGlob(glob, true)
    // Each test of a segment reads it; a path that is read this often is no more than glob times path.
    const count = (size: number) => {
      let reads = 0
      const list = new Proxy(segments(size), {
        get: (target, key) => {
          if (typeof key === 'string' && /^\d+$/.test(key)) reads++
          return Reflect.get(target, key)
        },
      })
      fits(list)
      return reads
    }
    const [small, large] = [count(500), count(4_000)]
    expect(small).toBeGreaterThan(0)
    expect(large).toBeLessThanOrEqual(small * 8 + 1_000)
  })

  it('lists in lists of an expression are not gone through without bound', () => {
    const compiled = compilePolicy(
      policyOf(
        'version: 1\ndefault: allow\nrules: [{ id: r, match: { tool: x }, when: [{ expr: "args.l.all(a, args.l.all(b, a == b))" }], action: deny }]',
      ),
    )
    const verdict = (size: number) => evaluate(compiled, action('x', { l: Array.from({ length: size }, () => 1) }))
    expect(verdict(100).rule.why.at(-1)).toBe('expr args.l.all(a, args.l.all(b, a == b))')
    expect(verdict(100_000)).toMatchObject({
      effect: 'deny',
      rule: { why: [expect.anything(), expect.stringContaining('cannot be judged')] },
    })
  })

  it('an action looks at the rules that may concern it, not at all', () => {
    const rules = Array.from({ length: 10_000 }, (_, index) => [
      { id: `t${index}`, match: { tool: `tool${index}.*` }, action: 'deny' },
      { id: `h${index}`, match: { host: `h${index}.example.com`, path: '/v1/*', method: 'POST' }, action: 'deny' },
      { id: `p${index}`, match: { host: 'api.example.com', path: `/v1/things${index}/*` }, action: 'deny' },
      { id: `s${index}`, match: { server: `server${index}`, tool: '*' }, action: 'deny' },
    ])
      .flat()
      .slice(0, 10_000)
    const { index } = compilePolicy(policyOf(JSON.stringify({ version: 1, rules })))
    const found = normaliseTarget({ scheme: 'https', authority: 'api.example.com', path: '/v1/things77/1' })
    if (!found.ok) throw new Error(found.reason)
    const http: PolicyAction = {
      kind: 'http',
      http: { upstream: null, method: 'POST', target: found.target, headers: {}, body: { state: 'none' } },
      agent: { name: 'a' },
      context: {},
    }
    const facts = [new Facts(action('tool77.x')), new Facts(http)]
    expect(facts.map((each) => index.candidates(each).length)).toEqual([1, 2])
  })
})
