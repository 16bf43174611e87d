import { CountersignError } from '../../lib/core/errors.ts'
import type { PolicyAction } from '../../lib/core/policy/action.ts'
import type { CompiledPolicy } from '../../lib/core/policy/compile.ts'
import { evaluate } from '../../lib/core/policy/evaluate.ts'
import type { Verdict } from '../../lib/core/policy/verdict.ts'
import { redactText } from '../../lib/core/preview.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'

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

  judge(action: PolicyAction): Verdict {
    const verdict = evaluate(this.#policy(), action)
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
    return verdict
  }

  /**
   * Why a call that was asked under `asked`, and approved, may not go under the policy in force now; undefined when that
   * asks for the same, or allows it.
   */
  objection(action: PolicyAction, asked: Verdict): CountersignError | undefined {
    const verdict = evaluate(this.#policy(), action)
    if (verdict.effect === 'allow') return undefined
    if (verdict.effect === 'deny') return denied(verdict)
    if (verdict.rule.revision === asked.rule.revision) return undefined
    return new CountersignError('approval_cancelled', {
      detail: 'The rules changed while the call was held. Nothing was done; send the same call again to ask anew.',
    })
  }
}

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
