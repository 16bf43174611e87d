import type { AgentRef } from '../../lib/core/actor.ts'
import { type Approval, Status } from '../../lib/core/approval.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import {
  type ActionSummary,
  type ApprovalDecided,
  type ApprovalRequested,
  type DomainEvent,
  type Finding,
  type Suggestion,
  Topic,
} from '../../lib/core/events.ts'
import type { Verdict, VerdictLimit } from '../../lib/core/policy/verdict.ts'
import { holderId } from '../../lib/core/transition.ts'
import type { Bus } from '../../lib/ports/bus.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { ClaimResult, Decider, SettleReport } from '../../lib/ports/decider.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'
import { Asked, type AskedApproval } from './asked.ts'
import type { Evaluation } from './evaluation.ts'
import { type Hold, Holds } from './holds.ts'
import { Leaves } from './leaves.ts'
import type { Limits, Spent } from './limits.ts'
import { Outcomes } from './outcomes.ts'
import { isCode, refused, refusedAs } from './refusals.ts'
import { Turns } from './turns.ts'

/** A call that policy wants a person to see. */
export interface Call {
  tenant: string
  agent: AgentRef
  action: ActionSummary
  rule: Verdict['rule']
  risk: Verdict['risk']
  approval: NonNullable<Verdict['approval']>
  /** The id that the Idempotency-Key derives, or null. */
  key: string | null
  /** The approval that the call names, or null. */
  named: string | null
  /** The call will come back, so that its disconnect cancels nothing. */
  keep: boolean
  /** Where the caller wants to be told of the decision, or null. */
  callback: string | null
  /** How long the caller waits for the outcome, in milliseconds; 0 answers at once. */
  waitMs: number
  /** Aborts when the caller's connection is gone. */
  signal: AbortSignal
  /** Why the rules in force now refuse what was asked under older ones; undefined when they do not. */
  objection: () => CountersignError | undefined
  /** What detectors and evaluators noticed. */
  findings: Finding[]
  suggestion: Suggestion | null
  /** What the call spends when it goes. */
  limits: readonly VerdictLimit[]
  /** Hears the evaluators, who speak before anybody is asked anew; null where there are none. */
  evaluate: (() => Promise<Evaluation>) | null
}

export type Answer =
  /** The one use is this call's: go ahead, with the edits (a JSON merge patch as text) if there are any. */
  | { type: 'go'; approval: Approval; replayed: boolean }
  /** Nobody need be asked. */
  | { type: 'allow'; spent: Spent }
  /** Nobody has decided yet; the caller comes back. */
  | { type: 'pending'; id: string; expiresAt: number; summary: string }

type Place = Extract<Answer, { type: 'pending' }>

/** After the deadline the decider's clock may be a little behind ours: it is asked this often, this long. */
const LAST_LOOKS = 5
const LAST_LOOK_EVERY_MS = 1_000

/**
 * Takes a call to its answer: uses the approval that fits it, joins one that is pending, or asks for one and holds.
 * Nothing goes ahead without a claim that was durably won; whatever cannot be known is refused.
 */
export class Approvals {
  readonly #bus: Bus
  readonly #decider: Decider
  readonly #clock: Clock
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #newApprovalId: () => string
  readonly #gate: string
  readonly #turns = new Turns()
  readonly #leaves: Leaves
  readonly #limits: Limits
  readonly asked: Asked
  readonly holds: Holds
  readonly outcomes: Outcomes

  constructor(deps: {
    bus: Bus
    decider: Decider
    clock: Clock
    log: Logger
    metrics: Metrics
    newApprovalId: () => string
    /** Name of this gate; the same after a restart, where that is possible. */
    gate: string
    limits: { maxHolds: number; maxHoldsPerAgent: number }
    rateLimits: Limits
  }) {
    const { clock, gate, limits } = deps
    this.#limits = deps.rateLimits
    this.#bus = deps.bus
    this.#decider = deps.decider
    this.#clock = clock
    this.#log = deps.log
    this.#metrics = deps.metrics
    this.#newApprovalId = deps.newApprovalId
    this.#gate = gate
    this.#leaves = new Leaves({ decider: deps.decider, clock, log: deps.log })
    const { bus, decider, log } = deps
    this.outcomes = new Outcomes({ bus, decider, clock, log, maxUntold: limits.maxHolds })
    const epoch = clock.now()
    let holders = 0
    this.holds = new Holds({ clock, limits, newHolder: () => holderId(gate, epoch, ++holders) })
    this.asked = new Asked({ clock, maxPerAgent: limits.maxHoldsPerAgent })
  }

  decided(event: ApprovalDecided): void {
    if (event.outcome !== 'approved') this.asked.forget(event.id)
    this.holds.decided(event)
  }

  /** Sends the held calls away and waits until what is known here is told. Their approvals stay pending. */
  async stop(): Promise<void> {
    this.holds.stop()
    await Promise.all([this.#leaves.stop(), this.outcomes.stop()])
  }

  /** Rejects with the refusal when the call must not go ahead. */
  async answer(call: Call): Promise<Answer> {
    const hold = this.holds.open(call.agent.id, call.signal)
    this.#metrics.holds.set(this.holds.size)
    try {
      const answer = await (call.evaluate ? this.#hear(call, hold, call.evaluate) : this.#askInTurn(call, hold))
      if (answer.type === 'allow') return answer
      if (answer.type === 'go') return await this.#deliver(answer, call)
      if (call.waitMs === 0) return answer
      return await this.#wait(answer, call, hold)
    } finally {
      hold.release()
      this.#metrics.holds.set(this.holds.size)
    }
  }

  /** The agent's own record; waits up to `waitMs` while it is pending. Rejects with `approval_not_found`. */
  async watch(request: {
    tenant: string
    agentId: string
    id: string
    waitMs: number
    signal: AbortSignal
  }): Promise<Approval> {
    const { tenant, agentId, id, waitMs, signal } = request
    const read = async () => {
      const approval = await this.#decider.lookup(tenant, id)
      if (approval.agent.id !== agentId) throw new CountersignError('approval_not_found', 'There is no such approval.')
      return approval
    }
    const first = await read()
    if (first.status !== Status.pending || waitMs === 0) return first
    const hold = this.holds.open(agentId, signal)
    try {
      hold.bind(id)
      hold.arm({ waitMs, expiresInMs: first.expiresAt - this.#clock.now() })
      for (;;) {
        const { type } = await hold.next()
        if (type === 'stopping') throw new CountersignError('shutting_down', { approvalId: id, retryAfter: 1 })
        const approval = await read()
        if (approval.status !== Status.pending || type === 'waited' || type === 'disconnected') return approval
      }
    } finally {
      hold.release()
    }
  }

  /** Reports what came of a use; what was not executed spends nothing. Rejects as `Outcomes.report` does. */
  async report(report: SettleReport): ReturnType<Outcomes['report']> {
    const told = await this.outcomes.report(report)
    this.#limits.reported(report.id, report.use, report.outcome)
    return told
  }

  /** The same, for a use whose outcome nobody waits for. */
  tell(report: SettleReport): void {
    this.outcomes.tell(report)
    this.#limits.reported(report.id, report.use, report.outcome)
  }

  #inTurn<T>(call: Call, hold: Hold, none: () => Promise<T>): Promise<Answer | T> {
    return this.#turns.take(call.action.fingerprint ?? hold.holder, () => this.#enter(call, hold, none))
  }

  #askInTurn(call: Call, hold: Hold): Promise<Answer> {
    return this.#inTurn(call, hold, () => this.#ask(call, hold))
  }

  /**
   * A standing decision comes before what an evaluator says. They are heard between two turns, so that the same calls
   * do not wait for each other's opinions.
   */
  async #hear(call: Call, hold: Hold, evaluate: () => Promise<Evaluation>): Promise<Answer> {
    const found = await this.#inTurn(call, hold, () => Promise.resolve(undefined))
    if (found) return found
    const evaluation = await evaluate()
    switch (evaluation.effect) {
      case 'deny':
        throw evaluation.refusal
      case 'allow': {
        const spent = this.#limits.spend(call.limits)
        if (spent instanceof CountersignError) throw spent
        return { type: 'allow', spent }
      }
      case 'require_approval': {
        const { findings, suggestion } = evaluation
        return this.#askInTurn({ ...call, findings, suggestion }, hold)
      }
    }
  }

  /** The record's answer to a call, or a place to wait; `none` says what to do when there is nothing. */
  async #enter<T>(call: Call, hold: Hold, none: () => Promise<T>): Promise<Answer | T> {
    const open = call.named === null ? this.#openFor(call) : undefined
    try {
      const found = await this.#claim(call, hold, call.named)
      if (found.outcome !== 'none') return this.#read(found, call, hold)
    } catch (error) {
      // A new request is published and held even while the decider is away; what was asked before must be judged.
      if (open || call.named !== null || !isCode(error, 'decider_unavailable')) throw error
    }
    if (!open) return none()
    const joined = await this.#joinOpen(open, call, hold)
    if (joined) return joined
    this.asked.forget(open.id)
    return none()
  }

  /** What this gate asked for on behalf of the same call. */
  #openFor({ key, action, approval }: Call): AskedApproval | undefined {
    const own = key === null ? undefined : this.asked.get(key)
    if (own && own.fingerprint !== action.fingerprint)
      throw new CountersignError(
        'idempotency_key_reused',
        'This Idempotency-Key was used for a call with other arguments. Use a new key.',
      )
    return action.fingerprint === null ? undefined : this.asked.find(action.fingerprint, approval.dedupeWindowMs)
  }

  /** Joins an approval whose request may still be on its way to the record; undefined when it was used already. */
  async #joinOpen(open: AskedApproval, call: Call, hold: Hold): Promise<Answer | undefined> {
    try {
      const joined = await this.#claim(call, hold, open.id)
      return joined.outcome === 'used' && !joined.replay ? undefined : this.#read(joined, call, hold)
    } catch (error) {
      if (!isCode(error, 'approval_not_found')) throw error
      // Only the record can take another callback, and a call that names one must not be forgotten.
      if (call.callback !== null && open.callback === null) throw notYetOnRecord(open.id)
      hold.bind(open.id)
      return { type: 'pending', id: open.id, expiresAt: open.expiresAt, summary: call.action.summary }
    }
  }

  #claim(call: Call, hold: Hold, approvalId: string | null): Promise<ClaimResult> {
    return this.#decider.claim({
      tenant: call.tenant,
      agentId: call.agent.id,
      approvalId,
      key: call.key,
      fingerprint: call.action.fingerprint,
      denialMemoryMs: call.approval.denialMemoryMs,
      dedupeWindowMs: call.approval.dedupeWindowMs,
      holder: call.waitMs === 0 ? null : hold.holder,
      keep: call.keep || call.waitMs === 0,
      ...(call.callback === null ? {} : { callback: call.callback }),
      gate: this.#gate,
    })
  }

  #read(result: ClaimResult, call: Call, hold: Hold): Answer {
    switch (result.outcome) {
      case 'claimed':
        this.asked.forget(result.approval.id)
        this.outcomes.handedOut(result.approval)
        return { type: 'go', approval: result.approval, replayed: false }
      case 'used':
        this.asked.forget(result.approval.id)
        if (result.replay) {
          this.outcomes.handedOut(result.approval)
          return { type: 'go', approval: result.approval, replayed: true }
        }
        throw refused(
          'already_used',
          result.approval,
          call.key === null
            ? 'The approval was used already. Call again to ask anew.'
            : 'The approval was used already. To ask anew, call with another Idempotency-Key.',
        )
      case 'pending':
        hold.bind(result.approval.id)
        return {
          type: 'pending',
          id: result.approval.id,
          expiresAt: result.approval.expiresAt,
          summary: call.action.summary,
        }
      case 'denied':
      case 'expired':
      case 'cancelled':
        throw refusedAs(result.outcome, result.approval)
      default:
        throw new CountersignError('approval_not_found', 'There is no such approval.')
    }
  }

  /** Publishes the request; the waiter listens before that, so that no decision can come too early. */
  async #ask(call: Call, hold: Hold): Promise<Answer> {
    // Nobody is asked for what could not go; whoever was asked already finds its answer above.
    const limited = this.#limits.refusal(call.limits)
    if (limited) throw limited
    if (call.signal.aborted) throw new CountersignError('approval_cancelled', 'The caller left.')
    const id = call.key ?? this.#newApprovalId()
    const requestedAt = this.#clock.now()
    const { timeoutMs } = call.approval
    const expiresAt = requestedAt + timeoutMs
    const data: ApprovalRequested = {
      id,
      tenant: call.tenant,
      agent: call.agent,
      action: call.action,
      rule: call.rule,
      risk: call.risk,
      approvers: call.approval.approvers,
      requirements: call.approval.requirements,
      threshold: call.approval.threshold,
      reasonRequired: call.approval.reasonRequired,
      holder: call.waitMs === 0 ? null : hold.holder,
      keep: call.keep || call.waitMs === 0,
      denialMemoryMs: call.approval.denialMemoryMs,
      requestedAt,
      timeoutMs,
      findings: call.findings,
      suggestion: call.suggestion,
      escalation: call.approval.escalation,
      onTimeout: call.approval.onTimeout,
      warnAfterMs: call.approval.warnAfterMs,
      callback: call.callback,
    }
    const event: DomainEvent = { topic: Topic.requested, eventId: `${id}:1`, at: requestedAt, data }
    const { callback } = call
    const { fingerprint } = call.action
    this.asked.add({ id, agentId: call.agent.id, fingerprint, callback, requestedAt, expiresAt })
    hold.bind(id)
    try {
      await this.#bus.publish([event])
    } catch (error) {
      this.asked.forget(id)
      throw error
    }
    return { type: 'pending', id, expiresAt, summary: call.action.summary }
  }

  async #wait(asked: Place, call: Call, hold: Hold): Promise<Answer> {
    let place = asked
    hold.arm({ waitMs: call.waitMs, expiresInMs: place.expiresAt - this.#clock.now() })
    for (;;) {
      const wake = await hold.next()
      if (call.signal.aborted) return this.#leave(place, call, hold, 'cancel')
      switch (wake.type) {
        case 'decided':
          try {
            if (wake.event.outcome !== 'approved') throw refusedAs(wake.event.outcome, { ...wake.event, ...place })
            return await this.#use(place, call, hold)
          } finally {
            this.#metrics.resumeSeconds.observe(Math.max(0, this.#clock.now() - wake.event.decidedAt) / 1000)
          }
        case 'look': {
          const answer = await this.#look(place, call, hold)
          if (answer?.type === 'pending') place = this.#extended(place, answer, hold)
          else if (answer) return answer
          break
        }
        case 'waited':
          return this.#leave(place, call, hold, 'keep')
        case 'deadline': {
          const answer = await this.#lastLook(place, call, hold)
          if (answer.type !== 'pending') return answer
          place = this.#extended(place, answer, hold)
          break
        }
        case 'stopping':
          this.#leave(place, call, hold, 'stay')
          throw new CountersignError('shutting_down', {
            detail: 'This gate is shutting down. The approval stays pending: send the same call again to join it.',
            approvalId: place.id,
            retryAfter: 1,
          })
        case 'disconnected':
          return this.#leave(place, call, hold, 'cancel')
      }
    }
  }

  /** The timeout of an approval that was escalated may have begun anew. */
  #extended(before: Place, now: Place, hold: Hold): Place {
    if (now.expiresAt !== before.expiresAt) {
      hold.extend(now.expiresAt - this.#clock.now())
      this.asked.extend(now.id, now.expiresAt)
    }
    return now
  }

  /** Reads the record; undefined when it cannot be read now. */
  async #look(place: Place, call: Call, hold: Hold): Promise<Answer | undefined> {
    try {
      const { status, expiresAt } = await this.#decider.lookup(call.tenant, place.id)
      if (status === Status.pending) return { ...place, expiresAt }
    } catch (error) {
      this.#log.warn({ err: error, approvalId: place.id }, 'the record of a held call could not be read')
      return undefined
    }
    return this.#use(place, call, hold)
  }

  /** Claims a decided approval and lets the call go with it. */
  async #use(place: Place, call: Call, hold: Hold): Promise<Answer> {
    return this.#deliver(this.#read(await this.#claim(call, hold, place.id), call, hold), call)
  }

  /**
   * The time is over, as far as is known here: the record has the last word, which may be that there is more time; without
   * it the call is refused, and not as denied.
   */
  async #lastLook(place: Place, call: Call, hold: Hold): Promise<Answer> {
    for (let looks = 0; looks < LAST_LOOKS; looks++) {
      const answer = await this.#look(place, call, hold)
      if (answer && (answer.type !== 'pending' || answer.expiresAt > place.expiresAt)) return answer
      await new Promise<void>((resolve) => this.#clock.after(LAST_LOOK_EVERY_MS, resolve))
    }
    throw new CountersignError('no_decision', {
      detail: 'The deadline passed and the record could not be read. Nothing was done; send the same call again.',
      approvalId: place.id,
    })
  }

  /** A use that nobody is there to take, or that the rules refuse by now, is given back: nothing of it was sent. */
  async #deliver(answer: Answer, call: Call): Promise<Answer> {
    if (answer.type !== 'go' || answer.replayed) return answer
    const isGone = call.signal.aborted
    const objection = isGone ? new CountersignError('approval_cancelled', 'The caller left.') : call.objection()
    const spent = objection ?? this.#limits.spend(call.limits, answer.approval.id)
    if (!(spent instanceof CountersignError)) {
      this.#limits.remember(answer.approval.id, answer.approval.claim?.use ?? 1, spent)
      return answer
    }
    this.outcomes.tell({
      tenant: call.tenant,
      id: answer.approval.id,
      agentId: call.agent.id,
      use: answer.approval.claim?.use ?? null,
      outcome: 'not_executed',
      status: null,
      detail: isGone
        ? 'The agent had left before it was answered.'
        : objection
          ? 'The rules had changed before it was answered.'
          : 'A rate limit was used up before it was answered.',
      gate: this.#gate,
    })
    throw spent
  }

  /** Gives the place up; the caller does not wait until the decider knows. */
  #leave(place: Place, call: Call, hold: Hold, intent: 'cancel' | 'keep' | 'stay'): Answer {
    this.#leaves.tell({ tenant: call.tenant, id: place.id, holder: hold.holder, intent }, place.expiresAt)
    return place
  }
}

const notYetOnRecord = (approvalId: string) =>
  new CountersignError('decider_unavailable', {
    detail: 'The request that this call joins is not on record yet, and its callback cannot be noted: call again.',
    approvalId,
    retryAfter: 1,
  })
