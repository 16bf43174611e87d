import { compileExpression } from './expression.ts'
import { type Facts, foldedSteps, UNREADABLE } from './facts.ts'
import { compileOperator, inWords } from './operator.ts'
import { type Path, type Root, type Step, valuesAt } from './path.ts'
import type { Condition, PathCondition } from './policy.ts'
import { commandFits } from './shell/command-fit.ts'
import type { CommandSpec } from './shell/command-spec.ts'

export interface CompiledCondition {
  /** What it says, in words that go on after a subject of their own. */
  words: string
  /** Why it holds, in words, or undefined when it does not. */
  holds(facts: Facts): string | undefined
}

/**
 * `strict` is for rules that deny or ask: one value that fits, or that cannot be judged, is enough. A rule that allows
 * needs every value to be there and to fit. Beneath `not` it is the other way round, so that what cannot be judged
 * counts the same for the rule as a whole.
 */
export function compileCondition(
  condition: Condition,
  strict: boolean,
  finders: Finders = new Map(),
): CompiledCondition {
  if ('any' in condition) {
    const members = condition.any.map((each) => compileCondition(each, strict, finders))
    return {
      words: `any of: ${members.map(({ words }) => words).join('; or ')}`,
      holds: (facts) => {
        for (const { holds } of members) {
          const reason = holds(facts)
          if (reason !== undefined) return reason
        }
        return undefined
      },
    }
  }
  if ('all' in condition) {
    const members = condition.all.map((each) => compileCondition(each, strict, finders))
    return {
      words: `all of: ${members.map(({ words }) => words).join('; and ')}`,
      holds: (facts) => {
        const reasons: string[] = []
        for (const { holds } of members) {
          const reason = holds(facts)
          if (reason === undefined) return undefined
          reasons.push(reason)
        }
        return reasons.join('; and ')
      },
    }
  }
  if ('not' in condition) {
    const inner = compileCondition(condition.not, !strict, finders)
    const words = `it does not hold that ${inner.words}`
    return { words, holds: (facts) => (inner.holds(facts) === undefined ? words : undefined) }
  }
  if ('expr' in condition) return compileExpression(condition.expr, strict)
  if ('command' in condition) return compileCommand(condition, strict, finders)
  return compilePathCondition(condition, strict, finders)
}

function compilePathCondition(
  { path, operator, operand }: PathCondition,
  strict: boolean,
  finders: Finders,
): CompiledCondition {
  const words = `${path.text} ${inWords(operator, operand)}`
  const unclear = `${path.text} cannot be judged, so it counts: ${inWords(operator, operand)}`

  if (operator === 'exists') {
    const wanted = operand === true
    // To be there in part is enough to be asked, and not enough to be taken as left out.
    const isLenient = strict === wanted
    const find = finderOf(path, isLenient, finders)
    return {
      words,
      holds: (facts) => {
        const found = find(facts)
        if (found === UNREADABLE) return strict ? unclear : undefined
        const exists = found.values.length > 0 && (isLenient || found.whole)
        return exists === wanted ? words : undefined
      },
    }
  }
  const find = finderOf(path, strict, finders)
  const judge = compileOperator(operator, operand, strict)
  return {
    words,
    holds: (facts) => {
      const found = find(facts)
      if (found === UNREADABLE) return strict ? unclear : undefined
      const { values, whole } = found
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

function compileCommand(
  { command, path }: { command: CommandSpec; path: Path },
  strict: boolean,
  finders: Finders,
): CompiledCondition {
  const words = `${path.text} runs what the rule names`
  const find = finderOf(path, strict, finders)
  return {
    words,
    holds: (facts) => {
      const found = find(facts)
      const unclear = strict ? `${path.text} cannot be read as a command line, so it counts` : undefined
      if (found === UNREADABLE) return unclear
      const { values, whole } = found
      const reasons = values.map((value) => {
        if (typeof value !== 'string') return unclear
        const reason = commandFits(facts.commandLine(value), command, strict ? 'strict' : 'narrow')
        return reason === undefined ? undefined : `${path.text} ${reason}`
      })
      const first = reasons.find((reason) => reason !== undefined)
      return strict || (whole && !reasons.includes(undefined)) ? first : undefined
    },
  }
}

type Finder = (facts: Facts) => ReturnType<typeof valuesAt> | typeof UNREADABLE
/** Those of one policy by what they are made of: conditions on one path share one, and what it holds in memory. */
export type Finders = Map<string, Finder>

function finderOf({ root, steps }: Path, lenient: boolean, finders: Finders): Finder {
  const key = JSON.stringify([root, steps, lenient])
  const known = finders.get(key)
  if (known) return known
  const made = finder(root, steps, lenient)
  finders.set(key, made)
  return made
}

/**
 * `lenient` also takes what may stand for a list, and keys of queries and bodies that servers may read as the same.
 * What lies beneath a body that is text cannot be read: its server may take it for YAML, XML or a form.
 */
function finder(root: Root, steps: readonly Step[], lenient: boolean): Finder {
  const isSpelledFreely = root === 'query' || root === 'body'
  const looksInsideBody = root === 'body' && steps.some((step) => !('every' in step))
  const taken = lenient ? foldedSteps(steps) : steps
  return (facts) => {
    const start = facts.root(root)
    if (start === UNREADABLE || (looksInsideBody && typeof start === 'string')) return UNREADABLE
    if (start === undefined) return { values: [], whole: false }
    if (!isSpelledFreely) return valuesAt(start, steps, lenient)
    return valuesAt(start, taken, lenient, (value, key) =>
      lenient ? facts.folded(value, key) : facts.sole(value, key),
    )
  }
}
