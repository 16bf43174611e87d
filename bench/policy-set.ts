import type { HttpAction, PolicyAction } from '../lib/core/policy/action.ts'

/** What is asked of an authorization engine, in the form that Cedar takes. */
export interface CedarRequest {
  principal: { type: string; id: string }
  action: { type: string; id: string }
  resource: { type: string; id: string }
  context: CedarRecord
}
type CedarValue = string | number | boolean | CedarValue[] | CedarRecord
interface CedarRecord {
  [name: string]: CedarValue
}

/** One action, for both. */
export interface Question {
  action: PolicyAction
  request: CedarRequest
  /** The rule that speaks, or null where none does. */
  rule: string | null
}

/** The same rules in both languages, and actions to judge. */
export interface PolicySet {
  yaml: string
  cedar: Record<string, string>
  questions: Question[]
}

/** One kind of rule, the n-th of it: it speaks of `hit`, and not of `miss`, which only its condition tells apart. */
interface Kind {
  yaml(n: number): string
  cedar(n: number): string
  hit(n: number): Omit<Question, 'rule'>
  miss(n: number): Omit<Question, 'rule'>
}

const ARGS = { customer: 'cus_4711', currency: 'eur', note: 'as agreed on the phone', notify: true, attempt: 1 }

const KINDS: Kind[] = [
  {
    yaml: (n) =>
      `{ id: r${n}, match: { tool: s${n}.refund }, when: [{ path: args.amount, gt: ${50_000 + n} }], action: require_approval }`,
    cedar: (n) =>
      `forbid(principal, action == Action::"s${n}.refund", resource) when { context.args has amount && context.args.amount > ${50_000 + n} };`,
    hit: (n) => tool(`s${n}.refund`, { ...ARGS, amount: 90000 }),
    miss: (n) => tool(`s${n}.refund`, { ...ARGS, amount: 4200 }),
  },
  {
    yaml: (n) => `{ id: r${n}, match: { tool: "s${n}.delete*" }, action: deny }`,
    cedar: (n) => `forbid(principal, action, resource) when { context.tool like "s${n}.delete*" };`,
    hit: (n) => tool(`s${n}.delete_all`, ARGS),
    miss: (n) => tool(`s${n}.list`, ARGS),
  },
  {
    yaml: (n) =>
      `{ id: r${n}, match: { tool: s${n}.deploy }, when: [{ path: args.env, in: [prod, production] }], action: require_approval }`,
    cedar: (n) =>
      `forbid(principal, action == Action::"s${n}.deploy", resource) when { context.args has env && ["prod", "production"].contains(context.args.env) };`,
    hit: (n) => tool(`s${n}.deploy`, { ...ARGS, env: 'production' }),
    miss: (n) => tool(`s${n}.deploy`, { ...ARGS, env: 'staging' }),
  },
  {
    yaml: (n) =>
      `{ id: r${n}, match: { host: s${n}.example.com, path: "/v1/c${n}/*", method: DELETE }, action: require_approval }`,
    cedar: (n) =>
      `forbid(principal, action == Action::"DELETE", resource == Host::"s${n}.example.com") when { context has path && (context.path == "/v1/c${n}" || context.path like "/v1/c${n}/*") };`,
    hit: (n) => http('DELETE', `s${n}.example.com`, `/v1/c${n}/cus_4711`),
    miss: (n) => http('GET', `s${n}.example.com`, `/v1/c${n}/cus_4711`),
  },
  {
    yaml: (n) =>
      `{ id: r${n}, match: { tool: s${n}.merge, agent: "ci-*" }, when: [{ path: "args.labels[*]", eq: protected }], action: deny }`,
    cedar: (n) =>
      `forbid(principal, action == Action::"s${n}.merge", resource) when { context.agent like "ci-*" && context.args has labels && context.args.labels.contains("protected") };`,
    hit: (n) => tool(`s${n}.merge`, { ...ARGS, labels: ['feature', 'protected'] }),
    miss: (n) => tool(`s${n}.merge`, { ...ARGS, labels: ['feature', 'small'] }),
  },
]

const AGENT = 'ci-runner'

/**
 * `size` rules of five kinds in equal parts, each for a tool or host of its own, over the default that everything runs.
 * Amounts and paths are each rule's own too; lists, labels and agents are those of its kind, as policies repeat them.
 * Of ten questions four hit a rule, four fall short of one by its condition, method or name, and two are about tools
 * that no rule knows; every sixth is an HTTP request.
 */
export function policySet(size: number, questions: number): PolicySet {
  const kindOf = (n: number): Kind => KINDS[n % KINDS.length] as Kind
  const numbers = Array.from({ length: size }, (_, n) => n)
  const asked = Array.from({ length: questions }, (_, at): Question => {
    if (at % 5 === 4) return { ...tool(`other${at}.read`, ARGS), rule: null }
    // A prime step goes through all kinds and over the whole policy.
    const turn = at - Math.floor(at / 5)
    const n = (turn * 7919) % size
    return turn % 2 === 0 ? { ...kindOf(n).hit(n), rule: `r${n}` } : { ...kindOf(n).miss(n), rule: null }
  })
  return {
    yaml: ['version: 1', 'default: allow', 'rules:', ...numbers.map((n) => `  - ${kindOf(n).yaml(n)}`)].join('\n'),
    cedar: {
      default: 'permit(principal, action, resource);',
      ...Object.fromEntries(numbers.map((n) => [`r${n}`, kindOf(n).cedar(n)])),
    },
    questions: asked,
  }
}

function tool(name: string, args: Record<string, string | number | boolean | string[]>): Omit<Question, 'rule'> {
  return {
    action: { kind: 'tool', tool: name, args, agent: { name: AGENT }, context: { session: 'ses_1' } },
    request: {
      principal: { type: 'Agent', id: AGENT },
      action: { type: 'Action', id: name },
      resource: { type: 'Tool', id: name },
      context: { tool: name, agent: AGENT, args, session: 'ses_1' },
    },
  }
}

function http(method: string, host: string, path: string): Omit<Question, 'rule'> {
  const target: HttpAction['http']['target'] = { scheme: 'https', host, port: 443, path, query: null, queryValues: {} }
  const headers = { accept: ['application/json'], 'content-type': ['application/json'] }
  return {
    action: {
      kind: 'http',
      http: { upstream: null, method, target, headers, body: { state: 'none' } },
      agent: { name: AGENT },
      context: { session: 'ses_1' },
    },
    request: {
      principal: { type: 'Agent', id: AGENT },
      action: { type: 'Action', id: method },
      resource: { type: 'Host', id: host },
      context: { tool: method, agent: AGENT, args: {}, path, headers, session: 'ses_1' },
    },
  }
}
