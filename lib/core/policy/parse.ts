import { RISKS } from '../events.ts'
import { readApproval, readDedupeWindow, readTimeout, readWarning } from './parse-approval.ts'
import { readAutonomy, readClassify } from './parse-autonomy.ts'
import { readConditions, readPath } from './parse-condition.ts'
import { readEvaluators } from './parse-evaluators.ts'
import { readMatch } from './parse-match.ts'
import {
  ACTIONS,
  AUTONOMY_RULE_ID,
  DEFAULT_RULE_ID,
  EVALUATORS_RULE_ID,
  LIMIT_KEYS,
  type Policy,
  type RateLimit,
  type Rule,
} from './policy.ts'
import { type Place, type PolicyError, PolicySource } from './source.ts'

export type ParsedPolicy = { ok: true; policy: Policy } | { ok: false; errors: PolicyError[] }

const MAX_RULES = 10_000
const DEFAULT_SETTINGS: Policy['settings'] = {
  timeoutMs: 5 * 60_000,
  denialMemoryMs: 5 * 60_000,
  warn: { share: 0.8 },
  dedupeWindowMs: null,
}

/** Reads a policy file. Everything that is wrong with it is told at once; a policy with one fault is no policy. */
export function parsePolicy(text: string): ParsedPolicy {
  const source = new PolicySource(text)
  const policy = readPolicy(source.root())
  const errors = source.errors.sort((a, b) => a.line - b.line || a.column - b.column)
  return policy && errors.length === 0 ? { ok: true, policy } : { ok: false, errors }
}

export const POLICY_KEYS = ['version', 'default', 'settings', 'rules', 'classify', 'autonomy', 'evaluators'] as const
export const SETTING_KEYS = ['timeout', 'denialMemory', 'warn', 'dedupeWindow'] as const

function readPolicy(root: Place | undefined): Policy | undefined {
  const fields = root?.fields(POLICY_KEYS)
  if (!root || !fields) return undefined
  if (!fields.version) root.missing('version')
  else if (fields.version.value !== 1) fields.version.fail('this must be 1: other versions are not known here')
  const settings = readSettings(fields.settings)
  return {
    version: 1,
    default: fields.default?.oneOf(['allow', 'deny']) ?? 'deny',
    settings,
    rules: readRules(fields.rules, settings),
    classify: readClassify(fields.classify),
    autonomy: readAutonomy(fields.autonomy),
    evaluators: readEvaluators(fields.evaluators),
  }
}

function readSettings(place: Place | undefined): Policy['settings'] {
  const fields = place?.fields(SETTING_KEYS)
  const warn = fields?.warn && readWarning(fields.warn)
  return {
    timeoutMs: readTimeout(fields?.timeout) ?? DEFAULT_SETTINGS.timeoutMs,
    denialMemoryMs: fields?.denialMemory?.duration('0s', '30d') ?? DEFAULT_SETTINGS.denialMemoryMs,
    warn: warn === undefined ? DEFAULT_SETTINGS.warn : warn,
    dedupeWindowMs: readDedupeWindow(fields?.dedupeWindow) ?? DEFAULT_SETTINGS.dedupeWindowMs,
  }
}

function readRules(place: Place | undefined, settings: Policy['settings']): Rule[] {
  const items = place?.items() ?? []
  if (items.length > MAX_RULES) {
    place?.fail(`there may be at most ${MAX_RULES} rules`)
    return []
  }
  const ids = new Set<string>()
  return items.flatMap((item) => {
    const rule = readRule(item, ids, settings)
    return rule ? [rule] : []
  })
}

export const RULE_KEYS = [
  'id',
  'description',
  'match',
  'when',
  'action',
  'approval',
  'rate_limit',
  'mode',
  'risk',
] as const

function readRule(unnamed: Place, ids: Set<string>, settings: Policy['settings']): Rule | undefined {
  const place = unnamed.labelled(labelOf(unnamed.value))
  const fields = place.fields(RULE_KEYS)
  if (!fields) return undefined
  const id = fields.id ? readId(fields.id, ids) : place.missing('id')
  const action = fields.action ? fields.action.oneOf(ACTIONS) : place.missing('action')
  if (action === 'require_approval' && fields.rate_limit)
    place.fail('require_approval and a rate limit cannot stand in one rule')
  else if (fields.rate_limit && action !== undefined && action !== 'rate_limit')
    fields.rate_limit.fail(`"rate_limit" goes with action: rate_limit, not with ${action}`)
  if (fields.approval && action !== undefined && action !== 'require_approval')
    fields.approval.fail(`"approval" goes with action: require_approval, not with ${action}`)
  if (action === 'rate_limit' && !fields.rate_limit) place.missing('rate_limit')
  const rule = {
    id: id ?? '',
    description: fields.description?.text(500) ?? null,
    match: fields.match ? readMatch(fields.match) : place.missing('match'),
    when: readConditions(fields.when),
    action: action ?? 'deny',
    approval: action === 'require_approval' ? readApproval(fields.approval, settings) : null,
    rateLimit: action === 'rate_limit' && fields.rate_limit ? (readRateLimit(fields.rate_limit) ?? null) : null,
    mode: fields.mode?.oneOf(['enforce', 'shadow']) ?? 'enforce',
    risk: fields.risk?.oneOf(RISKS) ?? null,
  }
  return rule.match ? { ...rule, match: rule.match } : undefined
}

function labelOf(value: unknown): string {
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : undefined
  return typeof id === 'string' ? `rule "${id.slice(0, 100)}"` : ''
}

const RESERVED_IDS: Readonly<Record<string, string>> = {
  [DEFAULT_RULE_ID]: "the policy's default",
  [AUTONOMY_RULE_ID]: "the agent's level",
  [EVALUATORS_RULE_ID]: 'the evaluators',
}

function readId(place: Place, ids: Set<string>): string | undefined {
  const id = place.text(100)
  if (id === undefined) return undefined
  if (!/^[A-Za-z0-9][\w.-]*$/.test(id)) return place.fail('an id is made of letters, digits, ".", "_" and "-"')
  if (Object.hasOwn(RESERVED_IDS, id)) return place.fail(`"${id}" stands for ${RESERVED_IDS[id]}: choose another id`)
  if (ids.has(id)) return place.fail('another rule has this id')
  ids.add(id)
  return id
}

export const RATE_LIMIT_KEYS = ['limit', 'window', 'key'] as const

function readRateLimit(place: Place): RateLimit | undefined {
  const fields = place.fields(RATE_LIMIT_KEYS)
  if (!fields) return undefined
  const limit = fields.limit ? fields.limit.integer(1, 1_000_000) : place.missing('limit')
  const windowMs = fields.window ? fields.window.duration('1s', '30d') : place.missing('window')
  const key = fields.key ? readLimitKey(fields.key) : 'agent'
  return limit !== undefined && windowMs !== undefined && key ? { limit, windowMs, key } : undefined
}

function readLimitKey(place: Place): RateLimit['key'] | undefined {
  if (!Array.isArray(place.value)) {
    const name = LIMIT_KEYS.find((each) => each === place.value)
    return name ?? place.fail(`this must be one of ${LIMIT_KEYS.join(', ')}, or a list of paths`)
  }
  const paths = (place.oneOrMore() ?? []).map(readPath)
  if (paths.length > 8) return place.fail('there may be at most 8 paths')
  const found = paths.filter((path) => path !== undefined)
  return found.length === paths.length && found.length > 0 ? found : undefined
}
