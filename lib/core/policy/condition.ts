import { RE2JS } from 're2js'
import { assertNever } from '../assert-never.ts'
import { valuesAt } from './path.ts'
import type { Condition, Operator, Scalar } from './policy.ts'
import type { PolicyAction } from './verdict.ts'

/** `unclear`: the value is there, but of a kind that the operator cannot judge. */
type Judgement = 'yes' | 'no' | 'unclear'
type Judge = (value: unknown) => Judgement

export interface CompiledCondition {
  /** Why it holds, in words, or undefined when it does not. */
  holds(action: PolicyAction): string | undefined
}

/**
 * `strict` is for rules that deny or ask: one value that fits, or that cannot be judged, is enough. A rule that allows
 * needs every value to be there and to fit.
 */
export function compileCondition(condition: Condition, strict: boolean): CompiledCondition {
  const { path, operator, operand } = condition
  const words = `${path.text} ${inWords(operator, operand)}`
  const unclear = `${path.text} cannot be judged, so it counts: ${inWords(operator, operand)}`
  const find = (action: PolicyAction) => valuesAt(rootOf(action, path.root), path.steps, strict)

  if (operator === 'exists') {
    const wanted = operand === true
    return {
      holds: (action) => {
        const { values, whole } = find(action)
        const exists = values.length > 0 && (strict || whole)
        return exists === wanted ? words : undefined
      },
    }
  }
  const judge = judgeFor(operator, operand, strict)
  return {
    holds: (action) => {
      const { values, whole } = find(action)
      if (!strict)
        return values.length > 0 && whole && values.every((value) => judge(value) === 'yes') ? words : undefined
      let result: string | undefined
      for (const value of values) {
        const judgement = judge(value)
        if (judgement === 'yes') return words
        if (judgement === 'unclear') result = unclear
      }
      return result
    },
  }
}

/** What the agent left out of its context, or gave as null, is not there. */
const rootOf = (action: PolicyAction, root: 'args' | 'context'): unknown =>
  root === 'args'
    ? action.args
    : Object.fromEntries(Object.entries(action.context).filter(([, value]) => value !== null && value !== undefined))

const yes = (holds: boolean): Judgement => (holds ? 'yes' : 'no')

function judgeFor(operator: Exclude<Operator, 'exists'>, operand: Scalar | Scalar[], strict: boolean): Judge {
  const list = Array.isArray(operand) ? operand : [operand]
  const [single = null] = list
  const same = strict ? sameInMeaning : sameExactly
  const isAny: Judge = (value) => {
    const judgements = list.map((each) => same(value, each))
    return judgements.includes('yes') ? 'yes' : judgements.includes('unclear') ? 'unclear' : 'no'
  }
  // In a rule that allows, what is of another kind than the operand is not «another value»: it is not judged at all.
  const isNone: Judge = (value) =>
    yes(
      strict
        ? !list.some((each) => value === each)
        : list.every((each) => typeof value === typeof each && value !== each),
    )
  switch (operator) {
    case 'eq':
    case 'in':
      return isAny
    case 'neq':
    case 'notIn':
      return isNone
    case 'lt':
      return onNumber((value) => value < Number(single))
    case 'lte':
      return onNumber((value) => value <= Number(single))
    case 'gt':
      return onNumber((value) => value > Number(single))
    case 'gte':
      return onNumber((value) => value >= Number(single))
    case 'contains':
      return (value) => {
        if (typeof value === 'string') return typeof single === 'string' ? yes(value.includes(single)) : isAny(value)
        if (!Array.isArray(value)) return 'unclear'
        const judgements = value.map((item) => same(item, single))
        return judgements.includes('yes') ? 'yes' : judgements.includes('unclear') ? 'unclear' : 'no'
      }
    case 'startsWith':
      return onText((value) => value.startsWith(String(single)))
    case 'matches': {
      const pattern = RE2JS.compile(String(single))
      return onText((value) => pattern.test(value))
    }
    default:
      return assertNever(operator)
  }
}

const onNumber =
  (holds: (value: number) => boolean): Judge =>
  (value) =>
    typeof value === 'number' ? yes(holds(value)) : 'unclear'

const onText =
  (holds: (value: string) => boolean): Judge =>
  (value) =>
    typeof value === 'string' ? yes(holds(value)) : 'unclear'

const sameExactly = (value: unknown, operand: Scalar): Judgement => yes(value === operand)

/** Also the same when one spells the other (`"50000"` and 50000, `"true"` and true); lists and objects are unclear. */
function sameInMeaning(value: unknown, operand: Scalar): Judgement {
  if (value === operand) return 'yes'
  if (typeof value === 'object' && value !== null) return 'unclear'
  if (value === null || operand === null || typeof value === typeof operand) return 'no'
  if (typeof value === 'number' || typeof operand === 'number') {
    const text = String(typeof value === 'number' ? operand : value).trim()
    return yes(text !== '' && Number(text) === (typeof value === 'number' ? value : operand))
  }
  return yes(String(value).trim().toLowerCase() === String(operand).trim().toLowerCase())
}

const MAX_WORDS = 160
/** Nobody reads a longer pattern in a hurry. */
const MAX_PATTERN = 60

function inWords(operator: Operator, operand: Scalar | Scalar[]): string {
  const text = JSON.stringify(operand)
  const shown = text.length > MAX_WORDS ? `${text.slice(0, MAX_WORDS)}…` : text
  switch (operator) {
    case 'eq':
      return `is ${shown}`
    case 'neq':
      return `is not ${shown}`
    case 'in':
      return `is one of ${shown}`
    case 'notIn':
      return `is none of ${shown}`
    case 'lt':
      return `is under ${shown}`
    case 'lte':
      return `is at most ${shown}`
    case 'gt':
      return `is over ${shown}`
    case 'gte':
      return `is at least ${shown}`
    case 'contains':
      return `contains ${shown}`
    case 'startsWith':
      return `starts with ${shown}`
    case 'matches':
      return text.length > MAX_PATTERN ? 'matches a pattern of the rule' : `matches ${text}`
    case 'exists':
      return operand === true ? 'is given' : 'is not given'
    default:
      return assertNever(operator)
  }
}
