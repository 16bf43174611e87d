import type { McpAction } from './action.ts'
import type { CompiledPolicy, CompiledRule } from './compile.ts'
import { Facts } from './facts.ts'
import type { Condition } from './policy.ts'

/**
 * Whether the rules deny a tool whatever its arguments are, so that there is no use in showing it: a rule denies it
 * without a look at them, or the default denies and no rule could allow it or ask. Where that depends on arguments, or
 * cannot be told, it is false: the call itself is judged in any case. What `action.args` says does not matter.
 */
export function isAlwaysDenied(policy: CompiledPolicy, action: Omit<McpAction, 'args'>): boolean {
  try {
    const facts = new Facts({ ...action, args: {} })
    let mayPass = policy.policy.default === 'allow'
    for (const number of policy.index.candidates(facts)) {
      const compiled = policy.rules[number]
      if (!compiled || compiled.isShadow || !compiled.fits(facts)) continue
      if (compiled.action === 'deny' && speaks(compiled, facts, false)) return true
      if (compiled.action === 'allow' || compiled.action === 'require_approval')
        mayPass ||= speaks(compiled, facts, true)
    }
    return !mayPass
  } catch {
    return false
  }
}

/** Whether all conditions hold; `unknown` is what one counts for that looks at the arguments. */
const speaks = ({ rule, conditions }: CompiledRule, facts: Facts, unknown: boolean): boolean =>
  rule.when.every((condition, index) =>
    looksAtArguments(condition) ? unknown : conditions[index]?.holds(facts) !== undefined,
  )

function looksAtArguments(condition: Condition): boolean {
  if ('expr' in condition) return /\bargs\b/.test(condition.expr)
  if ('not' in condition) return looksAtArguments(condition.not)
  if ('any' in condition) return condition.any.some(looksAtArguments)
  if ('all' in condition) return condition.all.some(looksAtArguments)
  return condition.path.root === 'args'
}
