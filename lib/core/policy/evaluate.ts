import { higherRisk, RISKS, type Risk, type RuleRef } from '../events.ts'
import type { PolicyAction } from './action.ts'
import { type CompiledPolicy, type CompiledRule, revisionOf } from './compile.ts'
import { Facts } from './facts.ts'
import { AUTONOMY_RULE_ID, type RuleAction } from './policy.ts'
import { added, NONE } from './short-list.ts'
import type { ShadowVerdict, Verdict, VerdictApproval, VerdictLimit } from './verdict.ts'

/** A rule that matched, with the reasons; one that could not be judged speaks as a deny. */
interface Speaker {
  compiled: CompiledRule
  action: RuleAction
  why: string[]
}

/** A rule that matched, and what became of it. */
export interface Heard {
  ruleId: string
  action: RuleAction
  /** `overruled`: a stricter rule spoke. */
  part: 'spoke' | 'overruled' | 'shadow'
  why: string[]
}

/**
 * Judges an action. Precedence over all rules that match, whatever their order: deny, require_approval, rate_limit,
 * allow; then the default. Rate limits permit nothing of themselves: they bind what is allowed or asked. Of several
 * approvals the strictest part of each holds. At last the agent's level may ask where all of them would allow.
 * Pure, synchronous, and it never throws.
 */
export function evaluate(policy: CompiledPolicy, action: PolicyAction): Verdict {
  try {
    const facts = new Facts(action)
    return decide(policy, facts, hearAll(policy, facts))
  } catch {
    return unjudged(policy)
  }
}

/** The same, with every rule that matched, in the order of the file. */
export function explain(policy: CompiledPolicy, action: PolicyAction): { verdict: Verdict; heard(): Heard[] } {
  try {
    const facts = new Facts(action)
    const speakers = hearAll(policy, facts)
    const verdict = decide(policy, facts, speakers)
    return { verdict, heard: () => speakers.map((speaker) => heardOf(speaker, verdict)) }
  } catch {
    return { verdict: unjudged(policy), heard: () => [] }
  }
}

function hearAll(policy: CompiledPolicy, facts: Facts): Speaker[] {
  let speakers: Speaker[] = NONE
  for (const number of policy.index.candidates(facts)) {
    const compiled = policy.rules[number]
    const speaker = compiled && hear(compiled, facts)
    if (speaker) speakers = added(speakers, speaker)
  }
  return speakers
}

function hear(compiled: CompiledRule, facts: Facts): Speaker | undefined {
  try {
    if (!compiled.fits(facts)) return undefined
    let reasons: string[] = NONE
    for (const condition of compiled.conditions) {
      const reason = condition.holds(facts)
      if (reason === undefined) return undefined
      reasons = added(reasons, reason)
    }
    return { compiled, action: compiled.action, why: [compiled.why, ...reasons] }
  } catch {
    return { compiled, action: 'deny', why: [`The rule ${compiled.id} could not be judged.`] }
  }
}

const NO_LIMITS: readonly VerdictLimit[] = []
const NO_SHADOWS: readonly ShadowVerdict[] = []

function decide(policy: CompiledPolicy, facts: Facts, all: readonly Speaker[]): Verdict {
  let effect: 'deny' | 'require_approval' | 'allow' | undefined
  let hasLimits = false
  let hasShadows = false
  for (const { compiled, action } of all) {
    if (compiled.isShadow) hasShadows = true
    else if (action === 'rate_limit') hasLimits = true
    else if (effect === undefined || STRICTNESS[action] > STRICTNESS[effect]) effect = action
  }
  const shadow = hasShadows ? all.filter(isShadow).map(shadowOf) : NO_SHADOWS
  const outcome = effect ?? policy.policy.default
  const limiting = hasLimits && outcome !== 'deny' ? saying(all, 'rate_limit') : NONE
  const limits = limiting.length === 0 ? NO_LIMITS : limitsOf(limiting, facts)
  const spoke = effect === undefined ? NONE : all.length === 1 ? all : saying(all, outcome)

  const level = outcome === 'allow' ? policy.judgeLevel(facts) : undefined
  if (level) {
    const canonicals = [level.canonical, policy.defaultRule.revision]
    return {
      effect: 'require_approval',
      matched: true,
      rule: withLimits({ id: AUTONOMY_RULE_ID, ids: [AUTONOMY_RULE_ID], why: [level.why] }, canonicals, limiting),
      risk: raised(riskOf('require_approval', spoke), facts.action),
      approval: policy.levelApproval,
      limits,
      autonomy: { level: level.level, categories: level.categories },
      shadow,
    }
  }
  const verdict: Verdict = {
    effect: outcome,
    matched: effect !== undefined,
    rule: refOf(policy, spoke, limiting),
    risk: raised(higherRisk(riskOf(outcome, spoke), riskOf('allow', limiting)), facts.action),
    limits,
    shadow,
  }
  if (outcome === 'require_approval') {
    for (const { compiled } of spoke)
      if (compiled.approval)
        verdict.approval = verdict.approval ? stricter(verdict.approval, compiled.approval) : compiled.approval
  }
  return verdict
}

const STRICTNESS = { allow: 0, require_approval: 1, deny: 2 } as const

const isShadow = ({ compiled }: Speaker): boolean => compiled.isShadow
const saying = (speakers: readonly Speaker[], action: RuleAction): Speaker[] =>
  speakers.filter((speaker) => speaker.action === action && !isShadow(speaker))
const limitsOf = (limiting: readonly Speaker[], facts: Facts): VerdictLimit[] =>
  limiting.flatMap(({ compiled }) => compiled.limit?.(facts) ?? [])
const shadowOf = ({ compiled, action, why }: Speaker): ShadowVerdict => ({ ruleId: compiled.id, action, why })

function refOf(policy: CompiledPolicy, spoke: readonly Speaker[], limiting: readonly Speaker[]): RuleRef {
  const [first] = spoke
  if (!first) {
    if (limiting.length === 0) return policy.defaultRule
    const { revision, ...ref } = policy.defaultRule
    return withLimits(ref, [revision], limiting)
  }
  if (spoke.length === 1 && limiting.length === 0)
    return {
      id: first.compiled.id,
      revision: first.compiled.revision,
      ids: [first.compiled.id],
      why: first.why,
    }
  const ref = {
    id: first.compiled.id,
    ids: spoke.map(({ compiled }) => compiled.id),
    why: spoke.flatMap(({ why }) => why),
  }
  return withLimits(
    ref,
    spoke.map(({ compiled }) => compiled.canonical),
    limiting,
  )
}

function withLimits(
  ref: Omit<RuleRef, 'revision'>,
  canonicals: readonly string[],
  limiting: readonly Speaker[],
): RuleRef {
  return {
    id: ref.id,
    revision: revisionOf([...canonicals, ...limiting.map(({ compiled }) => compiled.canonical)]),
    ids: [...ref.ids, ...limiting.map(({ compiled }) => compiled.id)],
    why: [...new Set([...ref.why, ...limiting.flatMap(({ why }) => why)])],
  }
}

/** A rule without a word on risk says `medium` where it asks or denies, and `low` where it lets run. */
function riskOf(effect: Verdict['effect'], speakers: readonly Speaker[]): Risk {
  const floor = effect === 'allow' ? 'low' : 'medium'
  let risk: Risk = speakers.length === 0 ? floor : 'low'
  for (const { compiled } of speakers) risk = higherRisk(risk, compiled.risk ?? floor)
  return risk
}

/** The agent's own word can raise the risk, never lower it; a word that nobody knows is high. */
function raised(risk: Risk, { context }: PolicyAction): Risk {
  const said: unknown = context.risk
  if (said === undefined || said === null) return risk
  return higherRisk(risk, RISKS.find((each) => each === said) ?? 'high')
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
  warnAfterMs: earlier(a.warnAfterMs, b.warnAfterMs),
  escalation: [...a.escalation, ...b.escalation].sort((one, other) => one.afterMs - other.afterMs),
  onTimeout: a.onTimeout === 'deny' || b.onTimeout === 'deny' ? 'deny' : 'escalate',
  dedupeWindowMs: earlier(a.dedupeWindowMs, b.dedupeWindowMs),
})

/** Null is never. */
const earlier = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b)

const union = <T>(a: readonly T[], b: readonly T[]): T[] => [...new Set([...a, ...b])]

function heardOf(speaker: Speaker, { rule }: Verdict): Heard {
  const ruleId = speaker.compiled.id
  const part = isShadow(speaker) ? 'shadow' : rule.ids.includes(ruleId) ? 'spoke' : 'overruled'
  return { ruleId, action: speaker.action, part, why: speaker.why }
}

/** For an action of which not even the rules can be found. */
const unjudged = ({ defaultRule }: CompiledPolicy): Verdict => ({
  effect: 'deny',
  matched: false,
  rule: { ...defaultRule, why: ['The action could not be judged.'] },
  risk: 'high',
  limits: NO_LIMITS,
  shadow: NO_SHADOWS,
})
