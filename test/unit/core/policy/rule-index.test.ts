import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { PolicyAction } from '../../../../lib/core/policy/action.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { Facts } from '../../../../lib/core/policy/facts.ts'
import { compileMatch } from '../../../../lib/core/policy/match.ts'
import { normaliseUrl } from '../../../../lib/core/policy/target.ts'
import { action, policyOf } from './fixture.ts'

const some = (...globs: string[]) => fc.uniqueArray(fc.constantFrom(...globs), { minLength: 1, maxLength: 2 })
const agents = {
  agent: some('billing', 'b*', '*2', '*', 'B 2*'),
  agentType: some('coder', 'C*'),
  labels: some('pii'),
}
const match = fc
  .oneof(
    fc.record(
      {
        tool: some('pay', 'PAY', 'pay*', 'pay *', '*y', 'p*y', 'pay**', '*', 'É*', 'ſ*', 'mcp__*', 'mcp__fs__pay', 'İ'),
        server: some('fs', 'FS', 'f*', '*s', 'f *'),
        ...agents,
      },
      { requiredKeys: [] },
    ),
    fc.record(
      {
        host: some('x.example', '*.example', 'X.*', 'x.example:8443', '*.example:443', '*', '*x*', '127.0.0.1'),
        method: some('GET', 'get', 'D*', '*', 'straße*', '*T'),
        path: some('/v1/*', '/v1', '/**', '/**/pay'),
        upstream: some('up', 'UP', 'u*', '*'),
        ...agents,
      },
      { requiredKeys: [] },
    ),
  )
  .filter((drawn) => Object.keys(drawn).length > 0)

const acting = fc.record({
  agent: fc.record(
    { name: fc.constantFrom('billing', 'Billing', 'b 2', 'ci'), type: fc.constantFrom('coder', 'CODER', null) },
    { requiredKeys: ['name'] },
  ),
  context: fc.record({ labels: fc.constantFrom(['pii'], ['PII', 'x'], null) }, { requiredKeys: [] }),
})
const tool = fc.constantFrom(
  'pay',
  'PAY',
  'payout',
  'pay out',
  'pay ',
  'ｐａｙ',
  'pa\u200by',
  'été',
  's',
  'i\u0307',
  'x',
)
const actions: fc.Arbitrary<PolicyAction> = fc.oneof(
  fc
    .tuple(fc.oneof(tool, fc.constantFrom('mcp__fs__pay', 'MCP__fs__payout', 'mcp__fs')), acting)
    .map(([name, by]) => action(name, {}, by)),
  fc.tuple(fc.constantFrom('fs', 'FS', 'ｆs', 'f s', 'wiki'), tool, acting).map(
    ([server, name, by]): PolicyAction => ({
      kind: 'mcp',
      mcp: { server, tool: name, annotations: null, trusted: false },
      args: {},
      ...by,
    }),
  ),
  fc
    .tuple(
      fc.constantFrom('https://x.example/v1', 'http://X.Example:8443/v1/a', 'https://a.x.example/pay', 'http://127.1/'),
      fc.constantFrom('', '?_method=DELETE', '?_method=GET;'),
      fc.constantFrom('GET', 'delete', 'strasse'),
      fc.constantFrom('up', 'Up', 'ｕp', null),
      acting,
    )
    .map(([url, query, method, upstream, by]): PolicyAction => {
      const found = normaliseUrl(url + query)
      if (!found.ok) throw new Error(found.reason)
      const { target } = found
      return { kind: 'http', http: { upstream, method, target, headers: {}, body: { state: 'none' } }, ...by }
    }),
)

it('a rule is found and fits exactly where its whole match does', { timeout: 60_000 }, () => {
  const seen = { settled: 0, unsettled: 0, not: 0 }
  fc.assert(
    fc.property(
      fc.array(fc.record({ match, action: fc.constantFrom('deny', 'require_approval', 'allow') }), {
        minLength: 1,
        maxLength: 8,
      }),
      fc.array(actions, { minLength: 1, maxLength: 8 }),
      (rules, acts) => {
        const { index, rules: compiled } = compilePolicy(
          policyOf(
            JSON.stringify({
              version: 1,
              default: 'allow',
              rules: rules.map((rule, number) => ({ id: `r${number}`, ...rule })),
            }),
          ),
        )
        for (const act of acts) {
          const facts = new Facts(act)
          const candidates = index.candidates(facts)
          for (const [number, { rule, fits }] of compiled.entries()) {
            const speaks = candidates.includes(number) && fits(facts)
            expect(speaks, JSON.stringify([rule, act])).toBe(compileMatch(rule.match, rule.action !== 'allow')(facts))
            seen[!speaks ? 'not' : index.settled(number) ? 'settled' : 'unsettled']++
          }
        }
      },
    ),
    { numRuns: 1_000 },
  )
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100)
})
