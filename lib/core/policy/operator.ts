import { RE2JS } from 're2js'
import { assertNever } from '../assert-never.ts'
import type { Operator, Scalar } from './policy.ts'

/** `unclear`: the value is there, but of a kind that the operator cannot judge. */
export type Judgement = 'yes' | 'no' | 'unclear'
export type Judge = (value: unknown) => Judgement

const yes = (holds: boolean): Judgement => (holds ? 'yes' : 'no')

/**
 * How an operator judges a value that is there. `strict` takes another kind that spells the same for the same; a list
 * or an object where a single value is due is unclear.
 */
export function compileOperator(
  operator: Exclude<Operator, 'exists'>,
  operand: Scalar | Scalar[],
  strict: boolean,
): Judge {
  const list = Array.isArray(operand) ? operand : [operand]
  const [single = null] = list
  const same = strict ? sameInMeaning : sameExactly
  const isAny: Judge = (value) => {
    let judgement: Judgement = 'no'
    for (const each of list) {
      const one = same(value, each)
      if (one === 'yes') return 'yes'
      if (one === 'unclear') judgement = 'unclear'
    }
    return judgement
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
      return onNumber(isUnder, Number(single))
    case 'lte':
      return onNumber(isAtMost, Number(single))
    case 'gt':
      return onNumber(isOver, Number(single))
    case 'gte':
      return onNumber(isAtLeast, Number(single))
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
  (holds: (value: number, bound: number) => boolean, bound: number): Judge =>
  (value) =>
    typeof value === 'number' ? yes(holds(value, bound)) : 'unclear'
const isUnder = (value: number, bound: number): boolean => value < bound
const isAtMost = (value: number, bound: number): boolean => value <= bound
const isOver = (value: number, bound: number): boolean => value > bound
const isAtLeast = (value: number, bound: number): boolean => value >= bound

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

/** What an operator says, to go on after the path. */
export function inWords(operator: Operator, operand: Scalar | Scalar[]): string {
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
