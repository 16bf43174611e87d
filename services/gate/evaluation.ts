import type { AgentRef } from '../../lib/core/actor.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import type { ActionSummary, Finding, Suggestion } from '../../lib/core/events.ts'
import { type BoundOpinion, boundOpinion, type Opinion, weigh } from '../../lib/core/policy/opinion.ts'
import type { ExternalEvaluator } from '../../lib/core/policy/policy.ts'
import type { Verdict } from '../../lib/core/policy/verdict.ts'
import type { EvaluationInput, EvaluatorOf } from '../../lib/ports/evaluator.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'

/** What the evaluators make of a call that the rules do not deny. */
export type Evaluation =
  | { effect: 'allow' }
  | { effect: 'deny'; refusal: CountersignError }
  | { effect: 'require_approval'; findings: Finding[]; suggestion: Suggestion | null }

export interface EvaluationRequest {
  tenant: string
  agent: AgentRef
  level: string
  action: ActionSummary
  verdict: Verdict
  findings: Finding[]
  evaluators: readonly ExternalEvaluator[]
  signal: AbortSignal
}

/** Asks every external evaluator at once, and bounds what they say by what they may. */
export class Evaluations {
  readonly #evaluatorOf: EvaluatorOf
  readonly #log: Logger
  readonly #metrics: Metrics

  constructor(deps: { evaluatorOf: EvaluatorOf; log: Logger; metrics: Metrics }) {
    this.#evaluatorOf = deps.evaluatorOf
    this.#log = deps.log
    this.#metrics = deps.metrics
  }

  async evaluate(request: EvaluationRequest): Promise<Evaluation> {
    const { verdict, evaluators, findings } = request
    const opinions = await Promise.all(evaluators.map((each) => this.#ask(each, request)))
    if (request.signal.aborted) throw new CountersignError('approval_cancelled', 'The caller left.')
    const weighed = weigh(verdict, opinions)
    switch (weighed.effect) {
      case 'allow':
        return { effect: 'allow' }
      case 'deny':
        return {
          effect: 'deny',
          refusal: new CountersignError('policy_denied', {
            detail: `Denied by the evaluator ${weighed.by.join(', ')}.`,
            ...(weighed.reason === null ? {} : { reason: weighed.reason }),
          }),
        }
      case 'require_approval':
        return {
          effect: 'require_approval',
          findings: [...findings, ...weighed.findings],
          suggestion: weighed.suggestion,
        }
    }
  }

  async #ask(settings: ExternalEvaluator, request: EvaluationRequest): Promise<BoundOpinion> {
    const { id: evaluator } = settings
    const end = this.#metrics.evaluationSeconds.startTimer({ evaluator })
    const opinion = await this.#evaluatorOf(settings).evaluate(inputOf(settings, request), request.signal)
    end()
    const bound = boundOpinion(request.verdict, settings, opinion, request.level)
    this.#metrics.evaluations.inc({ evaluator, opinion: opinion.type, counted: bound.says })
    this.#tell(opinion, bound, request)
    return bound
  }

  /** What changed nothing is not worth a line. A lifted ask leaves no record: this line is what tells of it. */
  #tell(
    { type }: Opinion,
    { evaluator, says, reason }: BoundOpinion,
    { agent, action, verdict }: EvaluationRequest,
  ): void {
    if (says === 'stay') return
    const told = {
      evaluator,
      opinion: type,
      counted: says,
      effect: verdict.effect,
      rules: verdict.rule.ids,
      agent: agent.name,
      summary: action.summary,
      reason,
    }
    if (type === 'failed') this.#log.warn(told, 'an evaluator gave no answer')
    else this.#log.info(told, says === 'lift' ? "an evaluator approved in a person's stead" : 'an evaluator spoke')
  }
}

function inputOf(settings: ExternalEvaluator, request: EvaluationRequest): EvaluationInput {
  const { tenant, agent, level, verdict, findings } = request
  const { fingerprint, ...action } = request.action
  const { id, ids, why } = verdict.rule
  return {
    tenant,
    agent,
    level,
    action,
    verdict: {
      effect: verdict.effect === 'allow' ? 'allow' : 'require_approval',
      rule: { id, ids, why },
      risk: verdict.risk,
    },
    findings,
    may: settings.may,
  }
}
