import type { AgentRef } from '../../lib/core/actor.ts'
import type { Approval } from '../../lib/core/approval.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import type { ActionSummary } from '../../lib/core/events.ts'
import type { PolicyAction } from '../../lib/core/policy/action.ts'
import { levelOf } from '../../lib/core/policy/autonomy.ts'
import type { Verdict } from '../../lib/core/policy/verdict.ts'
import { redactText } from '../../lib/core/preview.ts'
import type { Principal } from '../../lib/ports/identity.ts'
import type { Approvals, Call } from './approvals.ts'
import type { Evaluations } from './evaluation.ts'
import { type Asked, denied, type Judge, type Judgement } from './judge.ts'
import type { Limits } from './limits.ts'

/** A call at one of the ways in. */
export interface AskRequest {
  principal: Principal
  action: PolicyAction
  /** What a person sees of it; made when somebody must be asked. */
  describe: (asked: { agent: AgentRef; ruleRevision: string }) => ActionSummary
  /** The id that an Idempotency-Key derives, or null. */
  key: string | null
  /** The approval that the call names, or null. */
  named: string | null
  /** The call will come back, so that its disconnect cancels nothing. */
  keep: boolean
  /** Where the caller wants to be told of the decision; left out: nowhere. */
  callback?: string | null
  /** How long the caller waits for a person, in milliseconds; 0 answers at once. */
  waitMs: number
  /** What aborts when the caller's connection is gone; made when somebody must be asked, for most calls need none. */
  signal: () => AbortSignal
}

export type AskAnswer =
  /** Nobody need be asked; `rule` is null where no rule matched. `giveBack` tells that it was not executed after all. */
  | { type: 'allow'; rule: { id: string; revision: string } | null; giveBack: () => void }
  /** A person approved, and the one use is this call's. */
  | { type: 'go'; approval: Approval; replayed: boolean }
  /** Nobody has decided yet; the caller comes back. */
  | { type: 'pending'; id: string; expiresAt: number; summary: string }

/** From an action to its answer, the same for every way in: rules, limits, evaluators, and a person. */
export class Asking {
  readonly #approvals: Approvals
  readonly #judge: Judge
  readonly #limits: Limits
  readonly #evaluations: Evaluations

  constructor(deps: { approvals: Approvals; judge: Judge; limits: Limits; evaluations: Evaluations }) {
    this.#approvals = deps.approvals
    this.#judge = deps.judge
    this.#limits = deps.limits
    this.#evaluations = deps.evaluations
  }

  /** Fails with the refusal when the call must not go ahead. */
  ask(request: AskRequest): AskAnswer | Promise<AskAnswer> {
    const judgement = this.#judge.judge(request.action)
    const { verdict, asked } = judgement
    if (asked) return this.#askSomebody(request, { ...judgement, asked })
    if (verdict.effect !== 'allow') throw denied(verdict)
    const spent = this.#limits.spend(verdict.limits)
    if (spent instanceof CountersignError) throw spent
    return { type: 'allow', rule: ruleOf(verdict), giveBack: () => this.#limits.giveBack(spent) }
  }

  async #askSomebody(request: AskRequest, { policy, verdict, asked, evaluators }: MustAsk): Promise<AskAnswer> {
    const { principal, action: judged, describe, key, named, keep, waitMs } = request
    const { tenant } = principal
    const { rule: asking, risk, approval, findings } = asked
    const signal = request.signal()
    const agent = agentOf(request)
    const action = describe({ agent, ruleRevision: asking.revision })
    const call: Call = {
      tenant,
      agent,
      action,
      rule: asking,
      risk,
      approval,
      findings,
      suggestion: null,
      limits: verdict.limits,
      evaluate:
        evaluators.length === 0
          ? null
          : async () => {
              const evaluation = await this.#evaluations.evaluate({
                tenant,
                agent,
                level: levelOf(judged, policy.policy.autonomy),
                action,
                // A finding can make the risk too high for an evaluator to take it.
                verdict: { ...verdict, risk },
                findings,
                evaluators,
                signal,
              })
              const refusal = evaluation.effect === 'allow' ? this.#judge.outdated(policy) : undefined
              return refusal ? { effect: 'deny', refusal } : evaluation
            },
      key,
      named,
      keep: keep || approval.onDisconnect === 'keep',
      callback: request.callback ?? null,
      waitMs,
      signal,
      objection: () => this.#judge.objection(judged, asked),
    }
    const answer = await this.#approvals.answer(call)
    return answer.type === 'allow'
      ? { type: 'allow', rule: ruleOf(verdict), giveBack: () => this.#limits.giveBack(answer.spent) }
      : answer
  }
}

type MustAsk = Judgement & { asked: Asked }

const ruleOf = ({ matched, rule: { id, revision } }: Verdict) => (matched ? { id, revision } : null)

const agentOf = ({ principal: { id, name }, action: { context } }: AskRequest): AgentRef => ({
  id,
  name,
  session: redacted(context.session),
  user: redacted(context.user),
})

/** What the agent says of itself goes on record, so it is masked like everything that does. */
const redacted = (text: string | null | undefined): string | null =>
  text === undefined || text === null ? null : redactText(text)
