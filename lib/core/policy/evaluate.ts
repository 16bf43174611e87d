import { RISKS, type Risk, type RuleRef } from '../events.ts'
import { type CompiledPolicy, type CompiledRule, revisionOf } from './compile.ts'
import type { ApprovalTerms, RuleAction } from './policy.ts'
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
  return { effect, matched: true, rule, risk, approval: strictest(speakers, policy.policy.settings.denialMemoryMs) }
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

function strictest(speakers: readonly Speaker[], denialMemoryMs: number): VerdictApproval {
  const all = speakers.flatMap(({ compiled: { rule } }) =>
    rule.approval ? [{ id: rule.id, terms: rule.approval }] : [],
  )
  const each = <T>(part: (terms: ApprovalTerms) => T): T[] => all.map(({ terms }) => part(terms))
  const approvers = each((terms) => terms.approvers)
  return {
    timeoutMs: Math.min(...each((terms) => terms.timeoutMs)),
    approvers: approvers.some((names) => names.length === 0) ? [] : [...new Set(approvers.flat())],
    requirements: all.map(({ id, terms }) => ({ rule: id, anyOf: terms.approvers, approve: terms.threshold.approve })),
    threshold: {
      approve: Math.max(...each((terms) => terms.threshold.approve)),
      deny: Math.min(...each((terms) => terms.threshold.deny)),
    },
    reasonRequired: [...new Set(each((terms) => terms.reasonRequired).flat())],
    onDisconnect: each((terms) => terms.onDisconnect).includes('cancel') ? 'cancel' : 'keep',
    denialMemoryMs,
  }
}
