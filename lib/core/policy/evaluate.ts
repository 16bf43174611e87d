import { RISKS, type Risk, type RuleRef } from '../events.ts'
import { type CompiledPolicy, type CompiledRule, revisionOf } from './compile.ts'
import type { RuleAction } from './policy.ts'
import type { PolicyAction, Verdict, VerdictApproval } from './verdict.ts'

/** A rule that matched, with the reasons; one that could not be judged speaks as a deny. */
interface Speaker {
  compiled: CompiledRule
  action: RuleAction
  why: string[]
}

/**
 * Judges an action. Precedence over all rules that match, whatever their order: deny, require_approval, allow; then the
 * default. Of several approvals the strictest part of each holds. Pure, synchronous, and it never throws.
 */
export function evaluate(policy: CompiledPolicy, action: PolicyAction): Verdict {
  let speakers: Speaker[] = []
  for (const compiled of policy.candidates(action.tool)) {
    const speaker = hear(compiled, action)
    if (!speaker) continue
    const order = speakers[0] ? STRICTNESS[speaker.action] - STRICTNESS[speakers[0].action] : 1
    if (order > 0) speakers = [speaker]
    else if (order === 0) speakers.push(speaker)
  }
  const first = speakers[0]
  if (!first) {
    const effect = policy.policy.default
    return {
      effect,
      matched: false,
      rule: policy.defaultRule,
      risk: raised(effect === 'deny' ? 'medium' : 'low', action),
    }
  }

  const effect = first.action
  const floor = effect === 'allow' ? 'low' : 'medium'
  const rule = ruleRef(first, speakers)
  const risk = raised(highest(speakers.map(({ compiled }) => compiled.rule.risk ?? floor)), action)
  if (effect !== 'require_approval') return { effect, matched: true, rule, risk }
  return {
    effect,
    matched: true,
    rule,
    risk,
    approval: speakers.flatMap(({ compiled }) => compiled.approval ?? []).reduce(stricter),
  }
}

const STRICTNESS = { allow: 0, require_approval: 1, deny: 2 } as const satisfies Record<RuleAction, number>

function hear(compiled: CompiledRule, action: PolicyAction): Speaker | undefined {
  const { rule, conditions } = compiled
  try {
    if (!compiled.fits(action)) return undefined
    const why = [rule.description ?? `The rule ${rule.id} matched.`]
    for (const condition of conditions) {
      const reason = condition.holds(action)
      if (reason === undefined) return undefined
      why.push(reason)
    }
    return { compiled, action: rule.action, why }
  } catch {
    return { compiled, action: 'deny', why: [`The rule ${rule.id} could not be judged.`] }
  }
}

function ruleRef(first: Speaker, speakers: readonly Speaker[]): RuleRef {
  const rules = speakers.map(({ compiled }) => compiled)
  return {
    id: first.compiled.rule.id,
    revision: rules.length === 1 ? first.compiled.revision : revisionOf(rules),
    ids: rules.map(({ rule }) => rule.id),
    why: [...new Set(speakers.flatMap(({ why }) => why))],
  }
}

const highest = (risks: readonly Risk[]): Risk =>
  risks.reduce((top, risk) => (RISKS.indexOf(risk) > RISKS.indexOf(top) ? risk : top), 'low')

/** The agent's own word can raise the risk, never lower it; a word that nobody knows is high. */
function raised(risk: Risk, { context }: PolicyAction): Risk {
  const said: unknown = context.risk
  if (said === undefined || said === null) return risk
  return highest([risk, RISKS.find((each) => each === said) ?? 'high'])
}

const stricter = (a: VerdictApproval, b: VerdictApproval): VerdictApproval => ({
  timeoutMs: Math.min(a.timeoutMs, b.timeoutMs),
  // Each rule's own demand stands in its requirement: the flat list says who may vote at all.
  approvers: a.approvers.length === 0 || b.approvers.length === 0 ? [] : union(a.approvers, b.approvers),
  requirements: [...a.requirements, ...b.requirements],
  threshold: {
    approve: Math.max(a.threshold.approve, b.threshold.approve),
    deny: Math.min(a.threshold.deny, b.threshold.deny),
  },
  reasonRequired: union(a.reasonRequired, b.reasonRequired),
  onDisconnect: a.onDisconnect === 'cancel' || b.onDisconnect === 'cancel' ? 'cancel' : 'keep',
  denialMemoryMs: a.denialMemoryMs,
})

const union = <T>(a: readonly T[], b: readonly T[]): T[] => [...new Set([...a, ...b])]
