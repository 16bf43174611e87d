import { CountersignError } from '../../lib/core/errors.ts'
import { type Finding, higherRisk } from '../../lib/core/events.ts'
import type { McpAction, PolicyAction } from '../../lib/core/policy/action.ts'
import { isAlwaysDenied } from '../../lib/core/policy/always-denied.ts'
import type { CompiledPolicy } from '../../lib/core/policy/compile.ts'
import { evaluate } from '../../lib/core/policy/evaluate.ts'
import { escalated } from '../../lib/core/policy/opinion.ts'
import type { ExternalEvaluator } from '../../lib/core/policy/policy.ts'
import type { Verdict } from '../../lib/core/policy/verdict.ts'
import { redactText } from '../../lib/core/preview.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'

/** What policy says of a call. */
export interface Judgement {
  /** By which it was judged. */
  policy: CompiledPolicy
  verdict: Verdict
  /** What a person would be asked; undefined where the rules deny, or let the call go and nobody else has a say. */
  asked: Asked | undefined
  /** Who must be heard before anybody is asked. */
  evaluators: readonly ExternalEvaluator[]
}

export interface Asked {
  rule: Verdict['rule']
  risk: Verdict['risk']
  approval: NonNullable<Verdict['approval']>
  findings: Finding[]
}

/** Judges calls by the policy in force, counts the verdicts, and tells what rules in shadow would have said. */
export class Judge {
  readonly #policy: () => CompiledPolicy
  readonly #log: Logger
  readonly #metrics: Metrics

  constructor(deps: { policy: () => CompiledPolicy; log: Logger; metrics: Metrics }) {
    this.#policy = deps.policy
    this.#log = deps.log
    this.#metrics = deps.metrics
  }

  judge(action: PolicyAction): Judgement {
    const policy = this.#policy()
    const verdict = evaluate(policy, action)
    this.#metrics.actions.inc({ effect: verdict.effect })
    for (const { ruleId: rule, action: would, why } of verdict.shadow) {
      this.#metrics.policyShadow.inc({ rule, action: would })
      const { name } = action.agent
      const told = {
        rule,
        would,
        effect: verdict.effect,
        agent: name,
        target: targetOf(action),
        why: redactText(why.join('; ')),
      }
      this.#log.info(told, 'a rule in shadow would have spoken')
    }
    const { evaluators } = policy.policy
    return {
      policy,
      verdict,
      asked: this.#askedOf(policy, verdict, action),
      evaluators: evaluators.external,
    }
  }

  /** The refusal of a call that was let go under a policy which is not in force any more; undefined where it is. */
  outdated(policy: CompiledPolicy): CountersignError | undefined {
    return this.#policy().revision === policy.revision ? undefined : rulesChanged()
  }

  /** Whether a tool is denied whatever its arguments, so that there is no use in showing it. */
  isAlwaysDenied(tool: Omit<McpAction, 'args'>): boolean {
    return isAlwaysDenied(this.#policy(), tool)
  }

  #askedOf(policy: CompiledPolicy, verdict: Verdict, action: PolicyAction): Asked | undefined {
    const isWatched = verdict.effect === 'allow' && policy.policy.evaluators.external.length > 0
    const { rule, risk, approval } = isWatched ? escalated(policy, verdict) : verdict
    if (verdict.effect === 'deny' || !approval) return undefined
    const findings = policy.detect(action)
    for (const { detector, severity } of findings) this.#metrics.findings.inc({ detector, severity })
    return { rule, risk: findings.reduce((top, { severity }) => higherRisk(top, severity), risk), approval, findings }
  }

  /**
   * Why a call that was asked under `asked`, and approved, may not go under the policy in force now; undefined when that
   * asks for the same, or allows it.
   */
  objection(action: PolicyAction, asked: Pick<Verdict, 'rule'>): CountersignError | undefined {
    const verdict = evaluate(this.#policy(), action)
    if (verdict.effect === 'allow') return undefined
    if (verdict.effect === 'deny') return denied(verdict)
    if (verdict.rule.revision === asked.rule.revision) return undefined
    return rulesChanged()
  }
}

const rulesChanged = (): CountersignError =>
  new CountersignError('approval_cancelled', {
    detail: 'The rules changed while the call was held. Nothing was done; send the same call again to ask anew.',
  })

/** The refusal of a call that policy denies. */
export const denied = ({ matched, rule }: Verdict): CountersignError =>
  new CountersignError('policy_denied', {
    detail: matched ? `Denied by the rule ${rule.id}.` : 'No rule allows this action.',
    ...(rule.why.length === 0 ? {} : { reason: redactText(rule.why.join('; ')) }),
  })

/** Where a call goes, without what it carries. */
function targetOf(action: PolicyAction): string {
  switch (action.kind) {
    case 'tool':
      return action.tool
    case 'mcp':
      return `${action.mcp.server}/${action.mcp.tool}`
    case 'http':
      return `${action.http.method} ${action.http.target.host}${action.http.target.path}`
  }
}
