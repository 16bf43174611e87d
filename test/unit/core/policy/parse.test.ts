import { describe, expect, it } from 'vitest'
import { parsePolicy } from '../../../../lib/core/policy/parse.ts'
import { policyOf } from './fixture.ts'

const EXAMPLE = `version: 1
default: allow                    # allow | deny: what happens when no rule matches
settings: { timeout: 5m, denialMemory: 10m }
rules:
  - id: big-refund
    description: Refunds over 500 need finance.
    match:
      tool: "stripe.refund"
      agent: [billing, "support-*"]
    when:
      - { path: args.amount, gt: 50000 }
    action: require_approval
    approval:
      timeout: 15m
      approvers: ["group:finance", alice, alice]
      threshold: { approve: 2, deny: 1 }
      reasonRequired: [deny]
      onTimeout: deny
      onDisconnect: keep
    risk: high
`

/** What a policy has that says nothing of classes, levels and evaluators. */
const REST = {
  classify: [],
  autonomy: {
    default: 'semi',
    levels: {
      full: { alone: ['*'], ask: [] },
      semi: {
        alone: ['*'],
        ask: [
          ...['*:production', '*:delete', '*:destroy', 'payment:*'],
          ...['secret:*', 'access:*', 'data:export', 'message:external'],
        ],
      },
      supervised: { alone: ['*:read'], ask: ['secret:*'] },
      locked: { alone: [], ask: ['*'] },
    },
  },
  evaluators: {
    builtin: { destructive: 'high', secrets: 'high', exfiltration: 'high', production: 'high' },
    knownHosts: [],
    productionNames: ['prod', 'production'],
    external: [],
  },
}

it('reads a policy and fills in its defaults', () => {
  expect(policyOf(EXAMPLE)).toEqual({
    version: 1,
    default: 'allow',
    settings: { timeoutMs: 300_000, denialMemoryMs: 600_000, warn: { share: 0.8 }, dedupeWindowMs: null },
    rules: [
      {
        id: 'big-refund',
        description: 'Refunds over 500 need finance.',
        match: { tool: ['stripe.refund'], agent: ['billing', 'support-*'] },
        when: [
          {
            path: { text: 'args.amount', root: 'args', steps: [{ key: 'amount' }] },
            operator: 'gt',
            operand: 50_000,
          },
        ],
        action: 'require_approval',
        approval: {
          timeoutMs: 900_000,
          approvers: ['group:finance', 'alice'],
          threshold: { approve: 2, deny: 1 },
          reasonRequired: ['deny'],
          onDisconnect: 'keep',
          warnAfterMs: 720_000,
          escalation: [],
          onTimeout: 'deny',
          dedupeWindowMs: null,
        },
        rateLimit: null,
        mode: 'enforce',
        risk: 'high',
      },
    ],
    ...REST,
  })
  expect(policyOf('version: 1')).toEqual({
    version: 1,
    default: 'deny',
    settings: { timeoutMs: 300_000, denialMemoryMs: 300_000, warn: { share: 0.8 }, dedupeWindowMs: null },
    rules: [],
    ...REST,
  })
})

describe('what happens while nobody decides', () => {
  const terms = (approval: string, settings = '{}') =>
    policyOf(
      `version: 1\nsettings: ${settings}\nrules:\n  - { id: r, match: { tool: x }, action: require_approval, approval: ${approval} }\n`,
    ).rules[0]?.approval

  it.each([
    ['80% of the timeout, if nothing is said', '{ timeout: 10m }', '{}', 480_000],
    ['a share of it', '{ timeout: 10m, warn: 50% }', '{}', 300_000],
    ['so long before its end', '{ timeout: 10m, warn: 2m }', '{}', 480_000],
    ['never', '{ timeout: 10m, warn: never }', '{}', null],
    ['what the settings say', '{ timeout: 10m }', '{ warn: 90% }', 540_000],
    ['never, for all', '{ timeout: 10m }', '{ warn: never }', null],
    ['never, where the settings would warn before the request', '{ timeout: 1m }', '{ warn: 2m }', null],
  ])('warns after %s', (_, approval, settings, expected) => {
    expect(terms(approval, settings)?.warnAfterMs).toBe(expected)
  })

  it('is taken in steps', () => {
    const steps =
      '[{ after: 5m, approvers: ["group:managers", carol, carol], channels: oncall }, { after: 7m, channels: [oncall, pager] }]'
    expect(terms(`{ timeout: 10m, approvers: [alice], escalation: ${steps} }`)).toMatchObject({
      onTimeout: 'deny',
      escalation: [
        { afterMs: 300_000, approvers: ['group:managers', 'carol'], channels: ['oncall'] },
        { afterMs: 420_000, approvers: [], channels: ['oncall', 'pager'] },
      ],
    })
  })

  it('comes at the timeout where a step names no time', () => {
    const steps = '[{ after: 5m, channels: a }, { channels: b }, { channels: c }]'
    const { escalation } = terms(`{ timeout: 10m, onTimeout: escalate, escalation: ${steps} }`) ?? {}
    expect(escalation?.map(({ afterMs }) => afterMs)).toEqual([300_000, 600_000, 600_000])
  })

  it('joins the same call for as long as the rule or the settings say', () => {
    expect(terms('{ dedupeWindow: 0s }', '{ dedupeWindow: 10m }')?.dedupeWindowMs).toBe(0)
    expect(terms('{}', '{ dedupeWindow: 10m }')?.dedupeWindowMs).toBe(600_000)
  })
})

/** A policy with one rule; its lines stand from line 3 on. */
const rule = (...lines: string[]) =>
  `version: 1\nrules:\n  - id: r\n    match: { tool: x }\n    action: require_approval\n    ${lines.join('\n    ')}\n`

describe('refuses, with the place and the rule', () => {
  it.each<[string, string, number, string, RegExp]>([
    ['no mapping', '- a\n', 1, '', /mapping/],
    ['nothing', '', 1, '', /mapping/],
    ['no version', 'default: allow\n', 1, '', /"version" is missing/],
    ['another version', 'version: 2\n', 1, 'version', /must be 1/],
    ['broken YAML', 'version: 1\nrules: [\n', 3, '', /./],
    ['a key given twice', 'version: 1\ndefault: allow\ndefault: deny\n', 3, '', /unique/],
    ['two documents', 'version: 1\n---\nversion: 1\n', 2, '', /documents/],
    ['an unknown tag', 'version: !js 1\n', 1, '', /tag/],
    [
      'an unknown key',
      'version: 1\nrulez: []\n',
      2,
      'rulez',
      /unknown key "rulez": the keys here are version, default, settings, rules, classify/,
    ],
    ['a later key', 'version: 1\ngrants: []\n', 2, 'grants', /not supported by this version/],
    ['an unknown default', 'version: 1\ndefault: ask\n', 2, 'default', /allow, deny/],
    ['a bad setting', 'version: 1\nsettings:\n  timeout: 5 minutes\n', 3, 'settings.timeout', /duration such as/],
    [
      'a window that is no duration',
      'version: 1\nsettings:\n  dedupeWindow: 10\n',
      3,
      'settings.dedupeWindow',
      /30s, 5m/,
    ],
    ['rules that are no list', 'version: 1\nrules: {}\n', 2, 'rules', /list/],
    ['a rule that is no mapping', 'version: 1\nrules:\n  - x\n', 3, 'rules[0]', /mapping/],
    [
      'a rule without an id',
      'version: 1\nrules:\n  - match: { tool: x }\n    action: deny\n',
      3,
      'rules[0]',
      /"id" is missing/,
    ],
    [
      'a rule without an action',
      'version: 1\nrules:\n  - id: r\n    match: { tool: x }\n',
      3,
      'rules[0]',
      /rule "r": "action" is missing/,
    ],
    [
      'a rule without a match',
      'version: 1\nrules:\n  - id: r\n    action: deny\n',
      3,
      'rules[0]',
      /rule "r": "match" is missing/,
    ],
    [
      'a match of nothing',
      'version: 1\nrules:\n  - id: r\n    match: {}\n    action: deny\n',
      4,
      'rules[0].match',
      /at least one of tool, server, upstream/,
    ],
    ['an odd id', rule().replace('id: r', 'id: "a b"'), 3, 'rules[0].id', /letters, digits/],
    ['the reserved id', rule().replace('id: r', 'id: default'), 3, 'rules[0].id', /choose another/],
    [
      'an id twice',
      `${rule()}\n  - id: r\n    match: { tool: y }\n    action: deny\n`,
      8,
      'rules[1].id',
      /another rule has this id/,
    ],
    [
      'an unknown action',
      rule().replace('require_approval', 'ask'),
      5,
      'rules[0].action',
      /allow, deny, require_approval/,
    ],
    [
      'a rate limit without its terms',
      rule().replace('require_approval', 'rate_limit'),
      3,
      'rules[0]',
      /"rate_limit" is missing/,
    ],
    [
      'an approval with a rate limit',
      rule('rate_limit: { limit: 5 }'),
      3,
      'rules[0]',
      /rule "r": require_approval and a rate limit cannot stand in one rule/,
    ],
    [
      'an approval of what is allowed',
      rule('approval: {}').replace('require_approval', 'allow'),
      6,
      'rules[0].approval',
      /goes with action: require_approval/,
    ],
    ['an unknown risk', rule('risk: huge'), 6, 'rules[0].risk', /low, medium, high, critical/],
    [
      'a glob of another dialect',
      rule().replace('tool: x', 'tool: "{a,b}"'),
      4,
      'rules[0].match.tool',
      /"\{" has no meaning/,
    ],
    ['a star that is none', rule().replace('tool: x', 'tool: "a\uff0a"'), 4, 'rules[0].match.tool', /looks like a \*/],
    ['an empty list of globs', rule().replace('tool: x', 'tool: []'), 4, 'rules[0].match.tool', /empty/],
    [
      'a match that nothing fits',
      rule().replace('tool: x', 'tool: x, host: y'),
      4,
      'rules[0].match',
      /"tool" is of tool calls and "host" of HTTP requests/,
    ],
    [
      'an unknown operator',
      rule('when:', '  - { path: args.a, above: 5 }'),
      7,
      'rules[0].when[0].above',
      /unknown key "above"/,
    ],
    ['a choice of nothing', rule('when:', '  - { any: [] }'), 7, 'rules[0].when[0].any', /at least one condition/],
    [
      'a condition without an operator',
      rule('when:', '  - { path: args.a }'),
      7,
      'rules[0].when[0]',
      /needs an operator/,
    ],
    [
      'a condition with two',
      rule('when:', '  - { path: args.a, gt: 1, lt: 5 }'),
      7,
      'rules[0].when[0]',
      /one operator, not lt and gt/,
    ],
    ['a condition without a path', rule('when:', '  - { gt: 1 }'), 7, 'rules[0].when[0]', /"path" is missing/],
    [
      'a path from nowhere',
      rule('when:', '  - { path: amount, gt: 1 }'),
      7,
      'rules[0].when[0].path',
      /begins with args, context, headers/,
    ],
    [
      'a path deep into headers',
      rule('when:', '  - { path: headers.x.y, eq: z }'),
      7,
      'rules[0].when[0].path',
      /a path into headers names one of them/,
    ],
    [
      'a limit that is text',
      rule('when:', '  - { path: args.a, gt: "5" }'),
      7,
      'rules[0].when[0].gt',
      /must be a number/,
    ],
    [
      'a number that is not exact',
      rule('when:', '  - { path: args.a, eq: 9007199254740993 }'),
      7,
      'rules[0].when[0].eq',
      /exactly/,
    ],
    ['a limit without end', rule('when:', '  - { path: args.a, gt: .inf }'), 7, 'rules[0].when[0].gt', /exactly/],
    [
      'an operand that is a list',
      rule('when:', '  - { path: args.a, eq: [1] }'),
      7,
      'rules[0].when[0].eq',
      /text, a number/,
    ],
    ['a list that is none', rule('when:', '  - { path: args.a, in: x }'), 7, 'rules[0].when[0].in', /list/],
    ['an empty choice', rule('when:', '  - { path: args.a, notIn: [] }'), 7, 'rules[0].when[0].notIn', /empty/],
    [
      'exists with a word',
      rule('when:', '  - { path: args.a, exists: yes }'),
      7,
      'rules[0].when[0].exists',
      /true or false/,
    ],
    [
      'a pattern that is none',
      rule('when:', '  - { path: args.a, matches: "(" }'),
      7,
      'rules[0].when[0].matches',
      /RE2/,
    ],
    [
      'a pattern with a look-around',
      rule('when:', '  - { path: args.a, matches: "(?=x)" }'),
      7,
      'rules[0].when[0].matches',
      /RE2/,
    ],
    ['a timeout without a unit', rule('approval:', '  timeout: 15'), 7, 'rules[0].approval.timeout', /duration/],
    [
      'a timeout too short',
      rule('approval:', '  timeout: 500ms'),
      7,
      'rules[0].approval.timeout',
      /between 1s and 30d/,
    ],
    ['a timeout too long', rule('approval:', '  timeout: 31d'), 7, 'rules[0].approval.timeout', /between 1s and 30d/],
    [
      'more votes than people',
      rule('approval:', '  approvers: [a, b, a]', '  threshold: { approve: 3 }'),
      8,
      'rules[0].approval.threshold.approve',
      /3 votes cannot come together: the rule names 2/,
    ],
    [
      'more denials than people',
      rule('approval:', '  approvers: [a]', '  threshold:', '    deny: 2'),
      9,
      'rules[0].approval.threshold.deny',
      /2 votes/,
    ],
    [
      'no votes at all',
      rule('approval:', '  threshold: { approve: 0 }'),
      7,
      'rules[0].approval.threshold.approve',
      /whole number from 1/,
    ],
    [
      'half a vote',
      rule('approval:', '  threshold: { approve: 1.5 }'),
      7,
      'rules[0].approval.threshold.approve',
      /whole number/,
    ],
    [
      'a group without a name',
      rule('approval:', '  approvers: ["group:"]'),
      7,
      'rules[0].approval.approvers[0]',
      /group:name/,
    ],
    [
      'a reason for something else',
      rule('approval:', '  reasonRequired: [always]'),
      7,
      'rules[0].approval.reasonRequired[0]',
      /approve, deny/,
    ],
    [
      'approval by silence',
      rule('approval:', '  onTimeout: approve'),
      7,
      'rules[0].approval.onTimeout',
      /rule "r": there is no onTimeout: approve/,
    ],
    [
      'an escalation without steps',
      rule('approval:', '  onTimeout: escalate'),
      7,
      'rules[0].approval.onTimeout',
      /"escalation" is missing/,
    ],
    [
      'an escalation of no steps',
      rule('approval:', '  escalation: []'),
      7,
      'rules[0].approval.escalation',
      /the list is empty/,
    ],
    [
      'too many steps',
      rule('approval:', `  escalation: [${'{ after: 1m, channels: c }, '.repeat(11)}]`),
      7,
      'rules[0].approval.escalation',
      /at most 10 steps/,
    ],
    [
      'a step that nobody hears of',
      rule('approval:', '  escalation: [{ after: 1m }]'),
      7,
      'rules[0].approval.escalation[0]',
      /approvers, channels or both/,
    ],
    [
      'a step without its time',
      rule('approval:', '  escalation: [{ channels: oncall }]'),
      7,
      'rules[0].approval.escalation[0]',
      /"after" is missing/,
    ],
    [
      'a step that never comes',
      rule('approval:', '  timeout: 5m', '  escalation: [{ after: 5m, channels: oncall }]'),
      8,
      'rules[0].approval.escalation[0].after',
      /shorter than the timeout, 5m/,
    ],
    [
      'steps out of order',
      rule('approval:', '  escalation:', '    - { after: 2m, channels: a }', '    - { after: 2m, channels: b }'),
      9,
      'rules[0].approval.escalation[1].after',
      /later than the one before it, at 2m/,
    ],
    [
      'more people where everybody may vote',
      rule('approval:', '  escalation: [{ after: 1m, approvers: ["group:managers"] }]'),
      7,
      'rules[0].approval.escalation[0].approvers',
      /every approver may vote already/,
    ],
    [
      'a channel without a name',
      rule('approval:', '  escalation: [{ after: 1m, channels: [" "] }]'),
      7,
      'rules[0].approval.escalation[0].channels[0]',
      /the id of a channel/,
    ],
    [
      'a warning before the request',
      rule('approval:', '  timeout: 5m', '  warn: 5m'),
      8,
      'rules[0].approval.warn',
      /shorter than the timeout/,
    ],
    ['a warning at the end', rule('approval:', '  warn: 100%'), 7, 'rules[0].approval.warn', /from 1% to 99%/],
    ['a warning in words', rule('approval:', '  warn: soon'), 7, 'rules[0].approval.warn', /30s, 5m/],
    ['a reserved id of a level', rule().replace('id: r', 'id: autonomy'), 3, 'rules[0].id', /choose another/],
    ['a path that is none', rule().replace('tool: x', 'path: v1'), 4, 'rules[0].match.path', /begins with a slash/],
    ['a path with a query', rule().replace('tool: x', 'path: "/a?b"'), 4, 'rules[0].match.path', /query\.name/],
    ['a path with dots', rule().replace('tool: x', 'path: /a/../b'), 4, 'rules[0].match.path', /no dot segments/],
    ['a path with half stars', rule().replace('tool: x', 'path: "/a**"'), 4, 'rules[0].match.path', /whole segments/],
    ['a path with gaps', rule().replace('tool: x', 'path: //a'), 4, 'rules[0].match.path', /no empty segments/],
    [
      'a host that is none',
      rule().replace('tool: x', 'host: "a b"'),
      4,
      'rules[0].match.host',
      /characters that no host/,
    ],
    ['a host with a user', rule().replace('tool: x', 'host: "a@b.c"'), 4, 'rules[0].match.host', /user name/],
    ['a star and letters', rule().replace('tool: x', 'host: "*.bü.de"'), 4, 'rules[0].match.host', /punycode/],
    [
      'two conditions in one',
      rule('when:', '  - { expr: "true", path: args.a, eq: 1 }'),
      7,
      'rules[0].when[0]',
      /"expr" and "eq" cannot stand in one condition/,
    ],
    ['not of a list', rule('when:', '  - { not: [{ expr: "true" }] }'), 7, 'rules[0].when[0].not', /mapping/],
    [
      'an expression that ends early',
      rule('when:', '  - { expr: "args.a >" }'),
      7,
      'rules[0].when[0].expr',
      /Unexpected token: EOF \(line 1, column 9 of the expression\)/,
    ],
    [
      'an expression over what is not there',
      rule('when:', '  - expr: |', '      args.a > 1 &&', '      now > 2'),
      7,
      'rules[0].when[0].expr',
      /Unknown variable: now \(line 2, column 1 of the expression\)/,
    ],
    [
      'an expression that is a number',
      rule('when:', '  - { expr: "1 + 1" }'),
      7,
      'rules[0].when[0].expr',
      /this is int/,
    ],
    [
      'an expression of another kind',
      rule('when:', '  - { expr: "tool > 1" }'),
      7,
      'rules[0].when[0].expr',
      /no such overload/,
    ],
    [
      'an expression with a pattern that is none',
      rule('when:', '  - { expr: "tool.matches(\'(\')" }'),
      7,
      'rules[0].when[0].expr',
      /not an RE2 pattern/,
    ],
    [
      'an expression with a pattern of the agent',
      rule('when:', '  - { expr: "tool.matches(args.p)" }'),
      7,
      'rules[0].when[0].expr',
      /written out/,
    ],
    [
      'an expression that grows by itself',
      rule('when:', '  - { expr: "cel.bind(a, tool + tool, a == tool)" }'),
      7,
      'rules[0].when[0].expr',
      /cel\.bind is not supported/,
    ],
    [
      'an expression with lists in lists in lists',
      rule('when:', '  - { expr: "args.l.all(a, args.l.all(b, args.l.all(c, a == b)))" }'),
      7,
      'rules[0].when[0].expr',
      /more than 2 deep/,
    ],
    [
      'an expression that is too long',
      rule('when:', `  - { expr: "${'true && '.repeat(300)}true" }`),
      7,
      'rules[0].when[0].expr',
      /at most 2000/,
    ],
    [
      'nests without end',
      rule('when:', `  - ${'{ not: '.repeat(12)}{ expr: "true" }${' }'.repeat(12)}`),
      7,
      `rules[0].when[0]${'.not'.repeat(9)}`,
      /deeper than 8/,
    ],
    [
      'a limit of another action',
      rule('rate_limit: { limit: 5, window: 1m }').replace('require_approval', 'deny'),
      6,
      'rules[0].rate_limit',
      /goes with action: rate_limit, not with deny/,
    ],
    [
      'a limit of nothing',
      rule('rate_limit: { limit: 0, window: 1m }').replace('require_approval', 'rate_limit'),
      6,
      'rules[0].rate_limit.limit',
      /whole number from 1/,
    ],
    [
      'a limit without a window',
      rule('rate_limit: { limit: 1 }').replace('require_approval', 'rate_limit'),
      6,
      'rules[0].rate_limit',
      /"window" is missing/,
    ],
    [
      'a limit by what nobody knows',
      rule('rate_limit: { limit: 1, window: 1m, key: user }').replace('require_approval', 'rate_limit'),
      6,
      'rules[0].rate_limit.key',
      /agent, session, tool, or a list of paths/,
    ],
    [
      'a limit by a path from nowhere',
      rule('rate_limit: { limit: 1, window: 1m, key: [amount] }').replace('require_approval', 'rate_limit'),
      6,
      'rules[0].rate_limit.key[0]',
      /begins with args/,
    ],
    ['an unknown mode', rule('mode: dry'), 6, 'rules[0].mode', /enforce, shadow/],
    [
      'an odd category',
      'version: 1\nclassify:\n  - { label: "a b", match: { tool: x } }\n',
      3,
      'classify[0].label',
      /data:delete/,
    ],
    ['a class of nothing', 'version: 1\nclassify:\n  - { label: a }\n', 3, 'classify[0]', /"match" is missing/],
    [
      'an unknown level',
      'version: 1\nautonomy: { default: free }\n',
      2,
      'autonomy.default',
      /full, semi, supervised, locked/,
    ],
    [
      'a level of its own',
      'version: 1\nautonomy: { levels: { mine: {} } }\n',
      2,
      'autonomy.levels.mine',
      /unknown key/,
    ],
    [
      'an unknown detector',
      'version: 1\nevaluators: { builtin: { taste: off } }\n',
      2,
      'evaluators.builtin.taste',
      /unknown key/,
    ],
    [
      'a detector with a word',
      'version: 1\nevaluators: { builtin: { secrets: yes } }\n',
      2,
      'evaluators.builtin.secrets',
      /off or one of low/,
    ],
    [
      'an evaluator with credentials',
      'version: 1\nevaluators:\n  external:\n    - { id: e, url: "https://u:p@x/" }\n',
      4,
      'evaluators.external[0].url',
      /carries no credentials/,
    ],
    [
      'an evaluator with a bare secret',
      'version: 1\nevaluators:\n  external:\n    - { id: e, url: "https://x/", secret: "s3cret!" }\n',
      4,
      'evaluators.external[0].secret',
      /name of an environment variable/,
    ],
    [
      'an evaluator with a power of its own',
      'version: 1\nevaluators:\n  external:\n    - { id: e, url: "https://x/", may: [delete] }\n',
      4,
      'evaluators.external[0].may[0]',
      /approve, deny, escalate, suggest/,
    ],
    [
      'a slow evaluator',
      'version: 1\nevaluators:\n  external:\n    - { id: e, url: "https://x/", timeout: 5m }\n',
      4,
      'evaluators.external[0].timeout',
      /between 100ms and 30s/,
    ],
    [
      'another end of the connection',
      rule('approval:', '  onDisconnect: deny'),
      7,
      'rules[0].approval.onDisconnect',
      /cancel, keep/,
    ],
  ])('%s', (_, text, line, path, message) => {
    const parsed = parsePolicy(text)
    if (parsed.ok) throw new Error('it was accepted')
    const found = parsed.errors.find((error) => error.path === path && message.test(error.message))
    expect(found, JSON.stringify(parsed.errors, null, 1)).toBeDefined()
    expect(found?.line).toBe(line)
    expect(found?.column).toBeGreaterThan(0)
  })

  it('everything at once, in the order of the file', () => {
    const parsed = parsePolicy(
      'version: 3\ndefault: maybe\nsettings: { timeout: x }\nrules:\n  - id: r\n    action: nope\n    extra: 1\n',
    )
    expect(parsed.ok ? [] : parsed.errors.map(({ path, line }) => [path, line])).toEqual([
      ['version', 1],
      ['default', 2],
      ['settings.timeout', 3],
      ['rules[0]', 5],
      ['rules[0].action', 6],
      ['rules[0].extra', 7],
    ])
  })

  it('too many aliases', () => {
    const levels = Array.from(
      { length: 12 },
      (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(10)}]`,
    )
    const parsed = parsePolicy(`a0: &a0 x\n${levels.join('\n')}\n`)
    expect(parsed).toMatchObject({ ok: false })
  })
})

it('allows as many votes as a group may have', () => {
  expect(
    policyOf(rule('approval: { approvers: [a, "group:b"], threshold: { approve: 5 } }')).rules[0]?.approval?.threshold,
  ).toEqual({ approve: 5, deny: 1 })
})

it('finds the place of what an alias brings', () => {
  const parsed = parsePolicy(
    'version: 1\nrules:\n  - { id: a, match: &m { tool: "" }, action: deny }\n  - { id: b, match: *m, action: deny }\n',
  )
  expect(parsed.ok ? [] : parsed.errors.map(({ line }) => line)).toEqual([3, 3])
})

it('keeps what it is told of limits, classes, levels and evaluators', () => {
  const policy = policyOf(`version: 1
rules:
  - id: calm
    match: { host: ["*.Example.com", "[::1]", "api.example.com:8443"], method: post }
    action: rate_limit
    rate_limit: { limit: 5, window: 1h, key: [context.user, "headers.X-Team"] }
    mode: shadow
classify:
  - { label: [data:delete, data:write], match: { server: db }, when: [{ path: args.sql, matches: "(?i)delete" }] }
autonomy:
  default: supervised
  levels: { supervised: { alone: ["data:read"] }, full: { ask: [data:delete] }, locked: { ask: [] } }
evaluators:
  builtin: { secrets: off, destructive: critical, knownHosts: ["*.example.com"], productionNames: live }
  external:
    - { id: judge, url: "https://judge.example/v1", timeout: 500ms, secret: JUDGE_SECRET, may: [approve, deny, approve] }
    - { id: other, url: "http://127.0.0.1:9/" }
`)
  expect(policy.rules[0]).toMatchObject({
    match: { host: ['*.Example.com', '[::1]', 'api.example.com:8443'], method: ['post'] },
    mode: 'shadow',
    rateLimit: {
      limit: 5,
      windowMs: 3_600_000,
      key: [{ text: 'context.user' }, { steps: [{ key: 'x-team' }, { every: true }] }],
    },
  })
  expect(policy.classify).toMatchObject([
    { categories: ['data:delete', 'data:write'], match: { server: ['db'] }, when: [{ operator: 'matches' }] },
  ])
  expect(policy.autonomy).toMatchObject({
    default: 'supervised',
    levels: {
      full: { alone: ['*'], ask: ['data:delete'] },
      supervised: { alone: ['data:read'], ask: ['secret:*'] },
      locked: { alone: [], ask: [] },
    },
  })
  expect(policy.evaluators).toEqual({
    builtin: { secrets: null, destructive: 'critical', exfiltration: 'high', production: 'high' },
    knownHosts: ['*.example.com'],
    productionNames: ['live'],
    external: [
      {
        id: 'judge',
        url: 'https://judge.example/v1',
        timeoutMs: 500,
        secret: 'JUDGE_SECRET',
        may: ['approve', 'deny'],
      },
      { id: 'other', url: 'http://127.0.0.1:9/', timeoutMs: 2_000, secret: null, may: ['deny', 'escalate', 'suggest'] },
    ],
  })
})
