import { canonicalJson } from '../canonical-json.ts'
import type { PolicyAction } from './action.ts'
import { type CompiledCondition, compileCondition } from './condition.ts'
import type { Facts } from './facts.ts'
import { compileGlob } from './glob.ts'
import { compileMatch } from './match.ts'
import {
  type Autonomy,
  type Classifier,
  LEVELS,
  type Level,
  type LevelTerms,
  type Policy,
  tighterLevel,
} from './policy.ts'
import { RuleIndex } from './rule-index.ts'

/** Why an agent's level wants a person to see an action that the rules would let run. */
export interface Tightening {
  level: Level
  /** Those that do not run alone; empty when it is that the action has none. */
  categories: string[]
  why: string
  /** Canonical JSON of the level and of the classifiers that spoke. */
  canonical: string
}

/** The tighter of the agent's level and the session's. A level that nobody knows lets nothing run alone. */
export function levelOf({ agent, context }: PolicyAction, autonomy: Autonomy): Level {
  const known = (said: string): Level => LEVELS.find((each) => each === said) ?? 'locked'
  const own = known(agent.autonomy ?? autonomy.default)
  return typeof context.autonomy === 'string' ? tighterLevel(own, known(context.autonomy)) : own
}

/** Undefined when the action runs alone at the agent's level. */
export type JudgeLevel = (facts: Facts) => Tightening | undefined

export function compileAutonomy({ autonomy, classify }: Policy): JudgeLevel {
  const classifiers = classify.map(compileClassifier)
  const index = new RuleIndex(classify.map(({ match }) => match))
  const levels = new Map(LEVELS.map((level) => [level, compileLevel(autonomy.levels[level])]))
  const tightest = compileLevel({ alone: [], ask: ['*'] })

  const judge = (named: string, facts: Facts): Tightening | undefined => {
    const known = levels.get(named as Level)
    // A level that nobody knows lets nothing run alone.
    const level = known ? (named as Level) : 'locked'
    const { runsAlone, letsAll, terms } = known ?? tightest
    if (letsAll || (classifiers.length === 0 && runsAlone(''))) return undefined

    const possible = new Set<string>()
    const spoke: Classifier[] = []
    let isCertain = false
    for (const number of index.candidates(facts)) {
      const each = classifiers[number]
      if (!each?.may(facts)) continue
      spoke.push(each.classifier)
      for (const category of each.classifier.categories) possible.add(category)
      isCertain ||= each.must(facts)
    }
    const categories = [...possible].filter((category) => !runsAlone(category)).sort()
    // A category that may not be the action's own tightens, and never frees it from having none.
    if (categories.length === 0 && (isCertain || runsAlone(''))) return undefined
    const what = categories.length === 0 ? 'what has no category that runs alone' : categories.join(', ')
    return {
      level,
      categories,
      why: `The level ${level} wants a person for ${what}.`,
      canonical: canonicalJson({ level, terms, classifiers: spoke.map((each) => canonicalJson(each)).sort() }),
    }
  }
  return (facts) => {
    const { agent, context } = facts.action
    const own = judge(agent.autonomy ?? autonomy.default, facts)
    // What a level means is the file's to say: a session's level is heard beside the agent's, never in its place.
    return own || typeof context.autonomy !== 'string' ? own : judge(context.autonomy, facts)
  }
}

function compileLevel(terms: LevelTerms) {
  const alone = terms.alone.map(compileGlob)
  const ask = terms.ask.map(compileGlob)
  return {
    terms,
    letsAll: terms.alone.includes('*') && ask.length === 0,
    runsAlone: (category: string): boolean =>
      alone.some((fits) => fits(category)) && !ask.some((fits) => fits(category)),
  }
}

function compileClassifier(classifier: Classifier) {
  const { match, when } = classifier
  const side = (strict: boolean): ((facts: Facts) => boolean) => {
    const fits = compileMatch(match, strict)
    const conditions: CompiledCondition[] = when.map((condition) => compileCondition(condition, strict))
    return (facts) => fits(facts) && conditions.every(({ holds }) => holds(facts) !== undefined)
  }
  return { classifier, may: side(true), must: side(false) }
}
