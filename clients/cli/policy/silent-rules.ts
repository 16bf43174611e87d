import { compileGlob } from '../../../lib/core/policy/glob.ts'
import type { Policy, Rule, RuleAction } from '../../../lib/core/policy/policy.ts'

/** A rule that can never have a say, and the one that always takes it. */
export interface SilentRule {
  /** Its place in the list of rules. */
  index: number
  rule: Rule
  by: Rule
}

/** A limit binds what is asked as well: only a denial leaves it nothing. */
const takesTheSay = (broad: RuleAction, other: RuleAction): boolean =>
  broad === 'deny' ? other !== 'deny' : broad === 'require_approval' && other === 'allow'

/**
 * Rules for which every action that they match is matched by a stricter rule without conditions. A rule that is not
 * named here may be silent all the same.
 */
export function silentRules({ rules }: Policy): SilentRule[] {
  const broad = rules.filter(
    ({ match, when, mode }) => mode !== 'shadow' && when.length === 0 && keysOf(match).every((key) => key === 'tool'),
  )
  return rules.flatMap((rule, index) => {
    if (rule.mode === 'shadow' || rule.match.server) return []
    const by = broad.find((other) => takesTheSay(other.action, rule.action) && covers(other, rule))
    return by ? [{ index, rule, by }] : []
  })
}

const keysOf = (match: Rule['match']): string[] =>
  Object.entries(match).flatMap(([key, globs]) => (globs === null || globs === undefined ? [] : [key]))

/**
 * True when the tools of `broad` are those of `rule` and more. A glob that fits another glob's text, its `*` taken as a
 * letter, fits whatever that glob fits: no letter of its own can be in the place of the `*`.
 */
const covers = (broad: Rule, { match }: Rule): boolean =>
  match.tool?.every((glob) => broad.match.tool?.some((other) => compileGlob(lower(other))(lower(glob)))) ?? false

const lower = (text: string): string => text.toLowerCase()
