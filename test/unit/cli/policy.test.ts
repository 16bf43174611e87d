import { describe, expect, test } from 'vitest'
import { readAction } from '../../../clients/cli/policy/action-file.ts'
import { differences, parseCases } from '../../../clients/cli/policy/cases.ts'
import { changedTerms, changeOf, standOfRecord, standOfVerdict } from '../../../clients/cli/policy/comparison.ts'
import { explanationOf } from '../../../clients/cli/policy/explanation.ts'
import { notRecorded, recordedAction } from '../../../clients/cli/policy/recorded.ts'
import { silentRules } from '../../../clients/cli/policy/silent-rules.ts'
import { termsText } from '../../../clients/cli/policy/verdict-text.ts'
import type { ApprovalView } from '../../../clients/sdk/index.ts'
import type { PolicyAction } from '../../../lib/core/policy/action.ts'
import { compilePolicy } from '../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../lib/core/policy/evaluate.ts'
import { parsePolicy } from '../../../lib/core/policy/parse.ts'
import { PolicySource } from '../../../lib/core/policy/source.ts'
import { view } from '../sdk/fixture.ts'

function compiled(rules: string, head = 'default: allow') {
  const parsed = parsePolicy(`version: 1\n${head}\nrules:\n${rules}`)
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  return compilePolicy(parsed.policy)
}

const call = (tool: string, args: Record<string, number | string> = {}, agent = 'billing'): PolicyAction => ({
  kind: 'tool',
  tool,
  args,
  agent: { name: agent },
  context: {},
})

describe('rules that never have a say', () => {
  const silent = (rules: string) => silentRules(compiled(rules).policy).map(({ rule, by }) => [rule.id, by.id])
  const deny = (glob: string, more = '') => `  - { id: d, match: { tool: "${glob}"${more} }, action: deny }\n`
  const rule = (glob: string, action = 'allow', more = '') =>
    `  - { id: r, match: { tool: "${glob}" }, action: ${action}${more} }\n`

  test.each([
    ['a glob within a glob', deny('del*') + rule('delete_*')],
    ['a name within a glob, whatever its case', deny('del*') + rule('Delete')],
    ['in whatever order', rule('delete', 'require_approval') + deny('*')],
    [
      'a limit beneath a denial',
      deny('a') + rule('a', 'rate_limit', ', rate_limit: { limit: 1, window: 1m, key: agent }'),
    ],
    [
      'an allowing rule beneath one that asks',
      `${rule('a')}  - { id: d, match: { tool: "*" }, action: require_approval }\n`,
    ],
  ])('%s', (_, rules) => expect(silent(rules)).toEqual([['r', 'd']]))

  test.each([
    ['a glob that reaches further', deny('delete') + rule('delete*')],
    ['one of several globs', `${deny('a')}  - { id: r, match: { tool: [a, b] }, action: allow }\n`],
    ['a denial for some agents', deny('*', ', agent: "ci-*"') + rule('a')],
    [
      'a denial with a condition',
      `  - { id: d, match: { tool: "*" }, when: [{ path: args.x, eq: 1 }], action: deny }\n${rule('a')}`,
    ],
    ['a denial in shadow', `  - { id: d, mode: shadow, match: { tool: "*" }, action: deny }\n${rule('a')}`],
    ['a rule as strict', deny('*') + rule('a', 'deny')],
    ['a stricter one', `  - { id: d, match: { tool: "*" }, action: require_approval }\n${rule('a', 'deny')}`],
    [
      'a limit on what is asked',
      `  - { id: d, match: { tool: "*" }, action: require_approval }\n${rule('a', 'rate_limit', ', rate_limit: { limit: 1, window: 1m, key: agent }')}`,
    ],
    ['tools of a server', `${deny('*')}  - { id: r, match: { server: x, tool: a }, action: allow }\n`],
  ])('not %s', (_, rules) => expect(silent(rules)).toEqual([]))
})

describe('actions of a file', () => {
  const read = (text: string) => {
    const source = new PolicySource(text)
    const root = source.root()
    return { action: root && readAction(root), errors: source.errors.map(({ message }) => message) }
  }

  test('a tool call, as an agent sends it', () => {
    const { action, errors } = read(
      '{"tool": "a", "args": {"n": [1]}, "context": {"session": "s", "summary": "x", "labels": ["l"]}}',
    )
    expect(errors).toEqual([])
    expect(action).toEqual({
      kind: 'tool',
      tool: 'a',
      args: { n: [1] },
      agent: { name: 'agent' },
      context: { session: 's', user: null, risk: null, labels: ['l'], autonomy: null },
    })
  })

  test('an MCP call and an HTTP request', () => {
    expect(read('{ server: github, tool: rm, agent: { name: a, type: ci, autonomy: locked } }').action).toMatchObject({
      kind: 'mcp',
      mcp: { server: 'github', tool: 'rm', annotations: null, trusted: false },
      agent: { name: 'a', type: 'ci', autonomy: 'locked' },
    })
    expect(
      read('{ method: POST, url: "https://API.example.com/v1/../v2/%61", headers: { X-A: b }, body: { n: 1 } }').action,
    ).toMatchObject({
      kind: 'http',
      http: {
        upstream: null,
        method: 'POST',
        target: { host: 'api.example.com', path: '/v2/a' },
        headers: { 'x-a': ['b'] },
        body: { state: 'whole', value: { n: 1 } },
      },
    })
    expect(read('{ method: GET, url: "https://x.example/", bodyState: partly }').action).toMatchObject({
      http: { body: { state: 'partly' } },
    })
  })

  test.each([
    ['{}', /"tool" is missing/],
    ['{ tool: a, argz: {} }', /unknown key "argz"/],
    ['{ tool: a, args: [1] }', /must be a mapping/],
    ['{ tool: a, args: { n: 12345678901234567890 } }', /cannot be held exactly/],
    ['{ tool: a, args: { n: .nan } }', /JSON does not know/],
    ['{ tool: a, url: "https://x.example" }', /"tool" does not go with "method"/],
    ['{ method: GET }', /"url" is missing/],
    ['{ method: GET, url: "https://x.example/%2e%2e%2fa%252f" }', /the gate refuses this target/],
    ['{ tool: a, trusted: true }', /goes with "server"/],
    ['{ tool: a, agent: { type: x } }', /"name" is missing/],
    ['{ method: GET, url: "https://x.example", body: 1, bodyState: partly }', /"body" or "bodyState"/],
  ])('%s is refused', (text, message) => {
    expect(read(text).errors).toEqual(expect.arrayContaining([expect.stringMatching(message)]))
  })
})

describe('cases', () => {
  test('those that differ are told, by effect and by rule', () => {
    const policy = compiled(
      `  - { id: d, match: { tool: "d*" }, action: deny }\n  - { id: l, match: { tool: l }, action: rate_limit, rate_limit: { limit: 1, window: 1m, key: agent } }\n`,
    )
    const parsed = parseCases(
      [
        '- { name: right, action: { tool: da }, expect: deny, rule: d }',
        '- { name: limited, action: { tool: l }, expect: rate_limit, rule: l }',
        '- { name: by default, action: { tool: a }, expect: allow, rule: default }',
        '- { name: effect, action: { tool: da }, expect: allow }',
        '- { name: rule, action: { tool: da }, expect: deny, rule: other }',
        '- { name: not limited, action: { tool: l }, expect: allow }',
      ].join('\n'),
    )
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
    expect(differences(policy, parsed.cases).map((each) => each.case.name)).toEqual(['effect', 'rule', 'not limited'])
  })

  test.each([
    ['', /must be a list/],
    ['[]', /there are no cases/],
    ['- { name: a, action: { tool: x }, expect: ask }', /case "a": this must be one of allow/],
    ['- { name: a, action: { tool: x }, expect: deny, rules: d }', /unknown key "rules"/],
    [
      '- { name: a, action: { tool: x }, expect: deny }\n- { name: a, action: { tool: y }, expect: deny }',
      /has this name/,
    ],
    ['- { action: { tool: x }, expect: deny }', /"name" is missing/],
  ])('%j is refused with its place', (text, message) => {
    const parsed = parseCases(text)
    expect(parsed).toMatchObject({
      ok: false,
      errors: [{ line: expect.any(Number), column: expect.any(Number), message: expect.stringMatching(message) }],
    })
  })
})

test('an explanation has every rule about such calls: spoke, overruled, in shadow, and close with what did not hold', () => {
  const policy = compiled(`
  - { id: large, match: { tool: "pay.*" }, when: [{ path: args.amount, gt: 100 }], action: require_approval }
  - { id: reads, match: { tool: "pay.refund" }, action: allow }
  - { id: trial, mode: shadow, match: { tool: "pay.*" }, action: deny }
  - { id: bots, match: { tool: "pay.*", agent: "ci-*" }, when: [{ path: args.amount, gt: 100 }, { path: args.env, eq: prod }], action: deny }
  - { id: others, match: { tool: "mail.*" }, action: deny }`)
  const { verdict, rules } = explanationOf(policy, call('pay.refund', { amount: 500 }))
  expect(verdict.effect).toBe('require_approval')
  expect(rules.map(({ ruleId, part }) => [ruleId, part])).toEqual([
    ['large', 'spoke'],
    ['reads', 'overruled'],
    ['trial', 'shadow'],
    ['bots', 'close'],
  ])
  expect(rules.at(-1)).toMatchObject({ missed: ['agent is ci-*', 'args.env is "prod"'] })
})

describe('replaying', () => {
  const ask = (approval = '') => `  - { id: ask, match: { tool: pay }, action: require_approval${approval} }\n`
  const before = standOfVerdict(evaluate(compiled(ask(', approval: { timeout: 5m }')), call('pay')))
  const change = (rules: string, from = before) =>
    changeOf(from, standOfVerdict(evaluate(compiled(rules), call('pay'))))

  test.each([
    ['nothing changes', ask(), undefined],
    ['another name of the rule', ask().replace('id: ask', 'id: other'), undefined],
    ['no rule', '  []\n', 'noLongerAsked'],
    ['a denial', '  - { id: d, match: { tool: pay }, action: deny }\n', 'nowDenied'],
    ['another timeout', ask(', approval: { timeout: 6m }'), 'termsChanged'],
    ['other approvers', ask(', approval: { approvers: ["group:finance"] }'), 'termsChanged'],
    ['more votes', ask(', approval: { threshold: { approve: 2 } }'), 'termsChanged'],
    ['a reason', ask(', approval: { reasonRequired: [deny] }'), 'termsChanged'],
  ])('%s', (_, rules, expected) => expect(change(rules)).toBe(expected))

  test('between policies: what would now be asked, allowed and limited', () => {
    const allowed = standOfVerdict(evaluate(compiled('  []\n'), call('pay')))
    const denied = standOfVerdict(evaluate(compiled('  []\n', 'default: deny'), call('pay')))
    expect(change(ask(), allowed)).toBe('nowAsked')
    expect(change('  []\n', denied)).toBe('nowAllowed')
    const limit =
      '  - { id: l, match: { tool: pay }, action: rate_limit, rate_limit: { limit: 1, window: 1m, key: agent } }\n'
    expect(change(limit, allowed)).toBe('limitChanged')
  })

  const record = (more: Partial<ApprovalView['action']>): ApprovalView => {
    const plain = view(1)
    return { ...plain, action: { ...plain.action, kind: 'tool', tool: 'pay', ...more } }
  }

  test('the terms of a record are those that it was asked on', () => {
    const stand = standOfRecord({
      ...record({}),
      requestedAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-01T00:05:00.000Z',
      approvers: ['group:b', 'a'],
    })
    const verdict = evaluate(compiled(ask(', approval: { timeout: 15m, approvers: [a, "group:b"] }')), call('pay'))
    expect(stand.terms).toMatchObject({ timeout: '5m', approvers: 'a, group:b' })
    expect(changedTerms(stand, standOfVerdict(verdict))).toContain('timeout 5m → 15m')
    expect(changedTerms(stand, standOfVerdict(verdict)).join()).not.toContain('approvers')
  })

  test('what an escalation moved is no term that the rules asked for', () => {
    const escalated = [{ at: '2026-01-01T00:05:00.000Z', approvers: ['group:managers'], channels: [] }]
    const { terms } = standOfRecord({ ...record({}), approvers: ['a', 'group:managers'], escalated })
    expect(Object.keys(terms)).toEqual(['threshold', 'reason'])
  })

  test('the steps of an escalation are told with the other terms', () => {
    const steps = '[{ after: 5m, approvers: ["group:managers"], channels: [oncall] }, { channels: [pager] }]'
    const terms = `, approval: { timeout: 15m, approvers: [a], onTimeout: escalate, escalation: ${steps} }`
    expect(termsText(evaluate(compiled(ask(terms)), call('pay')))).toEqual([
      'within 15m',
      '1 to approve, 1 to deny',
      'ask: 1 of a',
      'ask: after 5m also group:managers; tells oncall',
      'ask: at the timeout tells pager',
      'the timeout takes the next step and begins anew',
    ])
  })

  test('a record says how much of the call it has', () => {
    expect(recordedAction(record({ preview: '{"a":1}' }))?.fidelity).toEqual({ masked: false, truncated: false })
    expect(recordedAction(record({ preview: '{"token":"[redacted]"}', previewTruncated: true }))?.fidelity).toEqual({
      masked: true,
      truncated: true,
    })
    expect(recordedAction(record({ kind: 'http' }))).toBeUndefined()
    expect(recordedAction(record({ kind: 'mcp' }))).toBeUndefined()
    expect(recordedAction(record({ preview: '{"a":' }))).toBeUndefined()
  })

  test('a proxied call is judged as its preview tells of it', () => {
    const rule = (when: string) =>
      compiled(
        `  - { id: ask, match: { upstream: api, method: POST, path: "/v1/pay" }, when: [${when}], action: require_approval }`,
      )
    const preview = (more: object) =>
      JSON.stringify({ upstream: 'api', method: 'POST', url: 'https://api.example.com/v1/pay?a=1', ...more })
    const effect = (when: string, more: object) => {
      const recorded = recordedAction(record({ kind: 'http', preview: preview(more) }))
      return recorded && evaluate(rule(when), recorded.action).effect
    }
    expect(effect('{ path: body.amount, gt: 5 }', { body: { amount: 6 } })).toBe('require_approval')
    expect(effect('{ path: body.amount, gt: 5 }', { body: { amount: 5 } })).toBe('allow')
    expect(effect('{ path: body.amount, gt: 5 }', {})).toBe('allow')
    for (const body of [{ unread: { bytes: 'more' } }, { unreadable: { bytes: 1 } }])
      expect(effect('{ path: body.amount, gt: 5 }', { body })).toBe('require_approval')
    expect(effect('{ path: query.a, eq: "1" }, { path: headers.x-a, eq: "2" }', { headers: { 'x-a': ['2'] } })).toBe(
      'require_approval',
    )
  })

  test('what no record has is named where a rule looks at it', () => {
    const { policy } = compiled(
      `  - { id: a, match: { tool: x, labels: l }, action: deny }\n  - { id: b, match: { tool: x }, when: [{ not: { path: context.risk, eq: low } }], action: deny }\n`,
    )
    expect(notRecorded(policy)).toEqual(['context.risk', 'labels'])
    expect(notRecorded(compiled(ask()).policy)).toEqual([])
  })
})
