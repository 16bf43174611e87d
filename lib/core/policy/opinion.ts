import type { JsonObject } from '../canonical-json.ts'
import { canonicalJson } from '../canonical-json.ts'
import { type Finding, higherRisk, type Suggestion } from '../events.ts'
import { redactText } from '../preview.ts'
import { REDACTED, redacted } from '../redaction.ts'
import { type CompiledPolicy, revisionOf } from './compile.ts'
import { EVALUATORS_RULE_ID, type Level, type Power } from './policy.ts'
import type { Verdict } from './verdict.ts'

/** What an external evaluator says of an action. `failed`: it said nothing that can be used; `reason` tells why. */
export type Opinion =
  | { type: 'approve' | 'deny' | 'escalate'; reason: string | null }
  /** `edits` is a JSON merge patch (RFC 7396) on the arguments. */
  | { type: 'suggest'; edits: JsonObject; reason: string | null }
  | { type: 'failed'; reason: string }

/** An opinion as far as it counts. */
export interface BoundOpinion {
  evaluator: string
  /** `lift`: nobody need be asked. `stay`: nothing against it. `ask`: a person must see it. */
  says: 'lift' | 'stay' | 'ask' | 'deny'
  /** False where the opinion leaves what the rules say as it is. */
  agrees: boolean
  reason: string | null
  finding: Finding | null
  suggestion: Suggestion | null
}

export interface Weighed {
  effect: 'allow' | 'deny' | 'require_approval'
  /** Ids of those who denied, or in whose word a person was not asked. */
  by: string[]
  reason: string | null
  findings: Finding[]
  suggestion: Suggestion | null
}

const MAX_REASON = 500
const MAX_EDITS = 4_096

/** Levels at which an evaluator's approval can stand for a person's. */
const LIFTING: readonly Level[] = ['full', 'semi']

/**
 * What an opinion counts for. It tightens as far as the evaluator may, and else is shown alone. An approval lifts an ask
 * only where the evaluator may approve, the level is `full` or `semi`, the risk is not critical, and no rule wants
 * certain people, several votes or a reason. Without an answer a person is asked, whatever the evaluator may.
 */
export function boundOpinion(
  verdict: Verdict,
  evaluator: { id: string; may: readonly Power[] },
  opinion: Opinion,
  level: string,
): BoundOpinion {
  const { id, may } = evaluator
  const reason = opinion.reason === null ? null : wordsOf(opinion.reason)
  const bound = (says: BoundOpinion['says'], message: string | null, suggestion: Suggestion | null = null) => ({
    evaluator: id,
    says,
    agrees: opinion.type === 'approve',
    reason,
    finding: message === null ? null : findingOf(id, opinion, message, reason),
    suggestion,
  })
  const asks = may.includes('escalate') ? 'ask' : 'stay'
  switch (opinion.type) {
    case 'failed':
      return bound('ask', 'Gave no answer, so a person is asked')
    case 'approve': {
      if (verdict.effect !== 'require_approval') return bound('stay', null)
      return may.includes('approve') && isLiftable(verdict, level)
        ? bound('lift', null)
        : bound('stay', 'Would approve')
    }
    case 'deny':
      return may.includes('deny') ? bound('deny', null) : bound(asks, 'Would deny')
    case 'escalate':
      return bound(asks, 'Wants a person to see it')
    case 'suggest': {
      if (!may.includes('suggest')) return bound(asks, 'Would change it')
      const edits = editsText(opinion.edits)
      return edits === undefined
        ? bound('ask', 'Would change it, by edits that cannot be shown')
        : bound('ask', 'Suggests other arguments', { by: id, edits, reason })
    }
  }
}

/** All opinions together: the strictest counts, and an ask is lifted only when every one of them approves. */
export function weigh(verdict: Verdict, opinions: readonly BoundOpinion[]): Weighed {
  const findings = opinions.flatMap(({ finding }) => finding ?? [])
  const suggestion = opinions.find((each) => each.suggestion !== null)?.suggestion ?? null
  const weighed = (effect: Weighed['effect'], from: readonly BoundOpinion[]): Weighed => ({
    effect,
    by: from.map(({ evaluator }) => evaluator),
    reason: from.find(({ reason }) => reason !== null)?.reason ?? null,
    findings,
    suggestion,
  })
  const having = (says: BoundOpinion['says']) => opinions.filter((each) => each.says === says)
  const denying = having('deny')
  if (verdict.effect === 'deny' || denying.length > 0) return weighed('deny', denying)
  if (having('ask').length > 0) return weighed('require_approval', [])
  const lifting = having('lift')
  if (lifting.length > 0 && opinions.every(({ agrees }) => agrees)) return weighed('allow', lifting)
  return weighed(verdict.effect, [])
}

/** Nobody in particular is asked for: then the policy may say that an evaluator will do. */
const isLiftable = ({ approval, risk }: Verdict, level: string): boolean =>
  LIFTING.some((each) => each === level) &&
  risk !== 'critical' &&
  approval !== undefined &&
  approval.threshold.approve === 1 &&
  approval.reasonRequired.length === 0 &&
  approval.requirements.every(({ anyOf, approve }) => anyOf.length === 0 && approve <= 1)

/** What to ask for when an evaluator wants a person where the rules alone would let the action run. */
export function escalated(policy: CompiledPolicy, verdict: Verdict): Verdict {
  const { levelApproval, policy: source } = policy
  return {
    ...verdict,
    effect: 'require_approval',
    matched: true,
    // The same whatever was said, so that an approval serves the retry.
    rule: {
      id: EVALUATORS_RULE_ID,
      ids: [EVALUATORS_RULE_ID],
      why: ['An evaluator wants a person to see it.'],
      revision: revisionOf([verdict.rule.revision, canonicalJson(source.evaluators)]),
    },
    risk: higherRisk(verdict.risk, 'medium'),
    approval: { ...levelApproval, requirements: [{ rule: EVALUATORS_RULE_ID, anyOf: [], approve: 1 }] },
  }
}

const SEVERITY = { approve: 'low', deny: 'high', escalate: 'medium', suggest: 'medium', failed: 'medium' } as const

const findingOf = (id: string, { type }: Opinion, message: string, reason: string | null): Finding => ({
  detector: `evaluator/${id}`,
  severity: SEVERITY[type],
  message: reason === null ? `${message}.` : `${message}: ${reason}`,
  path: null,
})

function wordsOf(reason: string): string {
  const shown = redactText(reason.slice(0, MAX_REASON))
  return reason.length > MAX_REASON ? `${shown}…` : shown
}

/**
 * The edits as text, or undefined for what cannot be shown to a person as it is, and taken as it was shown: what is too
 * long, or holds a secret or the mask of one.
 */
function editsText(edits: JsonObject): string | undefined {
  const text = JSON.stringify(edits)
  if (text.length > MAX_EDITS || text.includes(REDACTED)) return undefined
  const everything = {
    string: MAX_EDITS,
    items: MAX_EDITS,
    depth: 32,
    left: Number.POSITIVE_INFINITY,
    truncated: false,
  }
  return JSON.stringify(redacted(edits, everything)) === text ? text : undefined
}
