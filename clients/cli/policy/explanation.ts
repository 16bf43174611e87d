import type { PolicyAction } from '../../../lib/core/policy/action.ts'
import type { CompiledPolicy, CompiledRule } from '../../../lib/core/policy/compile.ts'
import { explain, type Heard } from '../../../lib/core/policy/evaluate.ts'
import { Facts } from '../../../lib/core/policy/facts.ts'
import { compileMatch } from '../../../lib/core/policy/match.ts'
import { COMMON_KEYS, type Match, type MatchKey, type RuleAction } from '../../../lib/core/policy/policy.ts'
import type { Verdict } from '../../../lib/core/policy/verdict.ts'

/** A rule about calls of this kind, of which something did not hold. */
export interface Close {
  ruleId: string
  action: RuleAction
  part: 'close'
  /** What did not hold, in words. */
  missed: string[]
}

export interface Explanation {
  verdict: Verdict
  /** In the order of the file; rules about other tools and other targets are left out. */
  rules: (Heard | Close)[]
}

/** What a policy says of an action, and what every rule that is about such calls has to do with it. */
export function explanationOf(policy: CompiledPolicy, action: PolicyAction): Explanation {
  const { verdict, heard } = explain(policy, action)
  const matched = new Map(heard().map((each) => [each.ruleId, each]))
  const facts = new Facts(action)
  return {
    verdict,
    rules: policy.rules.flatMap((compiled) => matched.get(compiled.rule.id) ?? closeOf(compiled, facts) ?? []),
  }
}

function closeOf({ rule, conditions }: CompiledRule, facts: Facts): Close | undefined {
  const { id, match, action } = rule
  const strict = action !== 'allow'
  const fits = (part: Match): boolean => compileMatch(part, strict)(facts)
  const entries = Object.entries(match) as [MatchKey, string[]][]
  const isCommon = (key: MatchKey) => COMMON_KEYS.some((each) => each === key)
  const target: Match = Object.fromEntries(entries.filter(([key]) => !isCommon(key)))
  if (Object.keys(target).length === 0 || !fits(target)) return undefined
  const missed = [
    ...entries
      .filter(([key, globs]) => isCommon(key) && !fits({ [key]: globs }))
      .map(([key, globs]) => `${key} is ${globs.join(' or ')}`),
    ...conditions.filter(({ holds }) => holds(facts) === undefined).map(({ words }) => words),
  ]
  return { ruleId: id, action, part: 'close', missed }
}
