import { RE2JS } from 're2js'
import { type DecisionWord, RISKS, type Threshold } from '../events.ts'
import { globFault } from './glob.ts'
import { parsePath } from './path.ts'
import {
  ACTIONS,
  type ApprovalTerms,
  type Condition,
  DEFAULT_RULE_ID,
  OPERATORS,
  type Operator,
  type Policy,
  type Rule,
  type Scalar,
} from './policy.ts'
import { type Place, type PolicyError, PolicySource } from './source.ts'

export type ParsedPolicy = { ok: true; policy: Policy } | { ok: false; errors: PolicyError[] }

const MAX_RULES = 10_000
const MAX_LIST = 1_000
const MAX_TEXT = 200
const MAX_PATTERN = 4_000
const DEFAULT_SETTINGS: Policy['settings'] = { timeoutMs: 5 * 60_000, denialMemoryMs: 5 * 60_000 }

/** Reads a policy file. Everything that is wrong with it is told at once; a policy with one fault is no policy. */
export function parsePolicy(text: string): ParsedPolicy {
  const source = new PolicySource(text)
  const policy = readPolicy(source.root())
  const errors = source.errors.sort((a, b) => a.line - b.line || a.column - b.column)
  return policy && errors.length === 0 ? { ok: true, policy } : { ok: false, errors }
}

function readPolicy(root: Place | undefined): Policy | undefined {
  const fields = root?.fields(['version', 'default', 'settings', 'rules'])
  if (!root || !fields) return undefined
  if (!fields.version) root.missing('version')
  else if (fields.version.value !== 1) fields.version.fail('this must be 1: other versions are not known here')
  const settings = readSettings(fields.settings)
  return {
    version: 1,
    default: fields.default?.oneOf(['allow', 'deny']) ?? 'deny',
    settings,
    rules: readRules(fields.rules, settings),
  }
}

function readSettings(place: Place | undefined): Policy['settings'] {
  const fields = place?.fields(['timeout', 'denialMemory'])
  return {
    timeoutMs: readTimeout(fields?.timeout) ?? DEFAULT_SETTINGS.timeoutMs,
    denialMemoryMs: fields?.denialMemory?.duration('0s', '30d') ?? DEFAULT_SETTINGS.denialMemoryMs,
  }
}

const readTimeout = (place: Place | undefined): number | undefined => place?.duration('1s', '30d')

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

const RULE_KEYS = ['id', 'description', 'match', 'when', 'action', 'approval', 'risk'] as const

function readRule(unnamed: Place, ids: Set<string>, settings: Policy['settings']): Rule | undefined {
  const place = unnamed.labelled(labelOf(unnamed.value))
  const fields = place.fields(RULE_KEYS)
  if (!fields) return undefined
  const id = fields.id ? readId(fields.id, ids) : place.missing('id')
  const action = fields.action ? readAction(fields.action) : place.missing('action')
  if (action === 'require_approval' && place.has('rate_limit'))
    place.fail('require_approval and a rate limit cannot stand in one rule')
  if (fields.approval && action !== undefined && action !== 'require_approval')
    fields.approval.fail(`"approval" goes with action: require_approval, not with ${action}`)
  const rule = {
    id: id ?? '',
    description: fields.description?.text(500) ?? null,
    match: fields.match ? readMatch(fields.match) : place.missing('match'),
    when: readConditions(fields.when),
    action: action ?? 'deny',
    approval: action === 'require_approval' ? readApproval(fields.approval, settings) : null,
    risk: fields.risk?.oneOf(RISKS) ?? null,
  }
  return rule.match ? { ...rule, match: rule.match } : undefined
}

function labelOf(value: unknown): string {
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : undefined
  return typeof id === 'string' ? `rule "${id.slice(0, 100)}"` : ''
}

function readId(place: Place, ids: Set<string>): string | undefined {
  const id = place.text(100)
  if (id === undefined) return undefined
  if (!/^[A-Za-z0-9][\w.-]*$/.test(id)) return place.fail('an id is made of letters, digits, ".", "_" and "-"')
  if (id === DEFAULT_RULE_ID) return place.fail(`"${id}" stands for the policy's default: choose another id`)
  if (ids.has(id)) return place.fail('another rule has this id')
  ids.add(id)
  return id
}

function readAction(place: Place): Rule['action'] | undefined {
  return place.value === 'rate_limit'
    ? place.fail('rate limits are not supported by this version')
    : place.oneOf(ACTIONS)
}

function readMatch(place: Place): Rule['match'] | undefined {
  const fields = place.fields(['tool', 'agent'])
  if (!fields) return undefined
  const tool = fields.tool ? readGlobs(fields.tool) : place.missing('tool')
  const agent = fields.agent ? readGlobs(fields.agent) : null
  return tool && agent !== undefined ? { tool, agent } : undefined
}

function readGlobs(place: Place): string[] | undefined {
  const items = bounded(place, place.oneOrMore())
  return items?.flatMap((item) => {
    const glob = item.text(MAX_TEXT)
    const fault = glob === undefined ? undefined : globFault(glob)
    if (fault !== undefined) item.fail(fault)
    return glob === undefined ? [] : [glob]
  })
}

function bounded<T>(place: Place, list: T[] | undefined): T[] | undefined {
  return list && list.length > MAX_LIST ? place.fail(`there may be at most ${MAX_LIST} entries`) : list
}

function readConditions(place: Place | undefined): Condition[] {
  return (place?.items() ?? []).flatMap((item) => {
    const condition = readCondition(item)
    return condition ? [condition] : []
  })
}

function readCondition(place: Place): Condition | undefined {
  const fields = place.fields(['path', ...OPERATORS])
  if (!fields) return undefined
  const given = OPERATORS.filter((operator) => fields[operator])
  const operator = given[0]
  const text = fields.path ? fields.path.text(500) : place.missing('path')
  const path = text === undefined ? undefined : parsePath(text)
  if (typeof path === 'string') fields.path?.fail(path)
  if (operator === undefined) return place.fail(`a condition needs an operator: ${OPERATORS.join(', ')}`)
  if (given.length > 1) return place.fail(`a condition has one operator, not ${given.join(' and ')}: write two`)
  const operand = fields[operator] ? readOperand(operator, fields[operator]) : undefined
  return typeof path === 'object' && operand !== undefined ? { path, operator, operand } : undefined
}

function readOperand(operator: Operator, place: Place): Scalar | Scalar[] | undefined {
  const { value } = place
  switch (operator) {
    case 'exists':
      return typeof value === 'boolean' ? value : place.fail('this must be true or false')
    case 'in':
    case 'notIn': {
      const items = bounded(place, place.items())
      if (items?.length === 0) return place.fail('the list is empty')
      return items?.flatMap((item) => {
        const scalar = readScalar(item)
        return scalar === undefined ? [] : [scalar]
      })
    }
    case 'lt':
    case 'lte':
    case 'gt':
    case 'gte':
      return typeof value === 'number' ? readScalar(place) : place.fail('this must be a number')
    case 'startsWith':
      return place.text(MAX_PATTERN)
    case 'matches':
      return readPattern(place)
    case 'contains':
      return value === '' ? place.fail('every text contains nothing') : readScalar(place)
    default:
      return readScalar(place)
  }
}

function readScalar(place: Place): Scalar | undefined {
  const { value } = place
  if (value === null || typeof value === 'boolean' || value === '') return value
  if (typeof value === 'string') return place.text(MAX_PATTERN)
  if (typeof value !== 'number') return place.fail('this must be text, a number, true, false or null')
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    return place.fail('this number cannot be held exactly')
  return value
}

function readPattern(place: Place): string | undefined {
  const pattern = place.text(MAX_PATTERN)
  if (pattern === undefined) return undefined
  try {
    RE2JS.compile(pattern)
    return pattern
  } catch (error) {
    return place.fail(`this is not an RE2 pattern: ${error instanceof Error ? error.message : 'it cannot be read'}`)
  }
}

function readApproval(place: Place | undefined, settings: Policy['settings']): ApprovalTerms {
  const fields = place?.fields(['timeout', 'approvers', 'threshold', 'reasonRequired', 'onTimeout', 'onDisconnect'])
  const approvers = fields?.approvers ? readApprovers(fields.approvers) : []
  if (fields?.onTimeout) checkOnTimeout(fields.onTimeout)
  return {
    timeoutMs: readTimeout(fields?.timeout) ?? settings.timeoutMs,
    approvers,
    threshold: readThreshold(fields?.threshold, approvers),
    reasonRequired: fields?.reasonRequired ? readReasonRequired(fields.reasonRequired) : [],
    onDisconnect: fields?.onDisconnect?.oneOf(['cancel', 'keep']) ?? 'cancel',
  }
}

function readApprovers(place: Place): string[] {
  const items = bounded(place, typeof place.value === 'string' ? [place] : place.items()) ?? []
  const names = items.flatMap((item) => {
    const name = item.text(MAX_TEXT)
    if (name === undefined) return []
    if (/^(?:group:)?\s*$|^\s|\s$|^group:\s|\p{Cc}/u.test(name))
      item.fail('an approver is a name, an e-mail address or group:name')
    return [name]
  })
  return [...new Set(names)]
}

function readThreshold(place: Place | undefined, approvers: readonly string[]): Threshold {
  const fields = place?.fields(['approve', 'deny'])
  const people = approvers.length > 0 && !approvers.some((name) => name.startsWith('group:')) ? approvers.length : 100
  const read = (word: DecisionWord): number => {
    const field = fields?.[word]
    const votes = field?.integer(1, 100) ?? 1
    if (field && votes > people) field.fail(`${votes} votes cannot come together: the rule names ${people} approvers`)
    return votes
  }
  return { approve: read('approve'), deny: read('deny') }
}

function readReasonRequired(place: Place): DecisionWord[] {
  const words = (place.items() ?? []).map((item) => item.oneOf<DecisionWord>(['approve', 'deny']))
  return [...new Set(words.filter((word) => word !== undefined))]
}

function checkOnTimeout(place: Place): void {
  if (place.value === 'deny') return
  if (place.value === 'approve') place.fail('there is no onTimeout: approve: what nobody decided is never approved')
  else if (place.value === 'escalate') place.fail('onTimeout: escalate is not supported by this version')
  else place.fail('this must be deny')
}
