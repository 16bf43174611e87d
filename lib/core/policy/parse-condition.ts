import { RE2JS } from 're2js'
import { expressionFault, MAX_EXPRESSION } from './expression.ts'
import { type Path, parsePath } from './path.ts'
import { type Condition, OPERATORS, type Operator, type PathCondition, type Scalar } from './policy.ts'
import { parseCommandSpec } from './shell/command-spec.ts'
import { bounded, type Place } from './source.ts'

const MAX_PATTERN = 4_000
const MAX_DEPTH = 8

/** The keys of a condition: one of these, or a path with an operator. */
export const CONDITION_KEYS = ['path', ...OPERATORS, 'command', 'expr', 'any', 'all', 'not'] as const
const FORMS = ['command', 'expr', 'any', 'all', 'not'] as const

/** Where a Bash-like tool has its command line. */
const COMMAND_PATH = 'args.command'

/** Reads a list of conditions. */
export function readConditions(place: Place | undefined, depth = 0): Condition[] {
  return (bounded(place, place?.items()) ?? []).flatMap((item) => {
    const condition = readCondition(item, depth)
    return condition ? [condition] : []
  })
}

function readCondition(place: Place, depth: number): Condition | undefined {
  const fields = place.fields(CONDITION_KEYS)
  if (!fields) return undefined
  if (depth > MAX_DEPTH) return place.fail(`conditions are nested deeper than ${MAX_DEPTH}`)
  const forms = FORMS.filter((key) => fields[key])
  const operators = OPERATORS.filter((key) => fields[key])
  const [form] = forms
  if (form === undefined) return readPathCondition(place, fields, operators)
  const [other] = [...forms.slice(1), ...operators, ...(fields.path && form !== 'command' ? ['path'] : [])]
  if (other !== undefined) return place.fail(`"${form}" and "${other}" cannot stand in one condition: write two`)
  const inner = fields[form]
  if (!inner) return undefined
  switch (form) {
    case 'any':
    case 'all': {
      const members = readConditions(inner, depth + 1)
      if (members.length === 0) return inner.fail('name at least one condition')
      return form === 'any' ? { any: members } : { all: members }
    }
    case 'not': {
      const member = readCondition(inner, depth + 1)
      return member && { not: member }
    }
    case 'expr':
      return readExpr(inner)
    case 'command':
      return readCommand(inner, fields.path)
  }
}

function readExpr(place: Place): Condition | undefined {
  const expr = place.text(MAX_EXPRESSION)
  if (expr === undefined) return undefined
  const fault = expressionFault(expr)
  return fault === undefined ? { expr } : place.fail(fault)
}

function readCommand(place: Place, at: Place | undefined): Condition | undefined {
  const path = at ? readPath(at) : parsePath(COMMAND_PATH)
  const command = parseCommandSpec(place.value)
  if (typeof command === 'string') return place.fail(command)
  return typeof path === 'object' ? { command, path } : undefined
}

export function readPath(place: Place): Path | undefined {
  const text = place.text(500)
  if (text === undefined) return undefined
  const path = parsePath(text)
  return typeof path === 'string' ? place.fail(path) : path
}

type Fields = NonNullable<ReturnType<typeof fieldsOf>>
const fieldsOf = (place: Place) => place.fields(CONDITION_KEYS)

function readPathCondition(place: Place, fields: Fields, given: readonly Operator[]): PathCondition | undefined {
  const path = fields.path ? readPath(fields.path) : place.missing('path')
  const [operator] = given
  if (operator === undefined) return place.fail(`a condition needs an operator: ${OPERATORS.join(', ')}`)
  if (given.length > 1) return place.fail(`a condition has one operator, not ${given.join(' and ')}: write two`)
  const operand = fields[operator] ? readOperand(operator, fields[operator]) : undefined
  return path && operand !== undefined ? { path, operator, operand } : undefined
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
