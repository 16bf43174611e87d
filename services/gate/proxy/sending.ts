import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Approval } from '../../../lib/core/approval.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { SettleOutcome } from '../../../lib/core/events.ts'
import type { SettleReport } from '../../../lib/ports/decider.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import type { Approvals } from '../approvals.ts'
import type { AskAnswer } from '../asking.ts'
import { refused } from '../refusals.ts'
import { edited } from './edited.ts'
import type { Forwarded, Forwarder, Outgoing } from './forwarder.ts'
import type { HeaderList } from './headers.ts'
import type { HttpCall } from './http-action.ts'
import { bodyAfter } from './peek.ts'
import type { Spool } from './spool.ts'
import type { Tunnels, Upgrading } from './tunnel.ts'

/** A call that was let go, with its connection. */
export interface LetGo {
  call: HttpCall
  /** The headers that are forwarded, as they came. */
  list: HeaderList
  answer: Exclude<AskAnswer, { type: 'pending' }>
  principal: Principal
  request: IncomingMessage
  reply: FastifyReply
  upgrading: Upgrading | undefined
  /** What was read on while the call was held. */
  spool: Spool | undefined
}

/** Sends calls that were let go, and reports what became of each use of an approval. */
export class Sending {
  readonly #approvals: Pick<Approvals, 'report' | 'tell'>
  readonly #forwarder: Forwarder
  readonly #tunnels: Tunnels
  readonly #gate: string
  readonly #log: Logger
  readonly #metrics: Metrics

  constructor(deps: {
    approvals: Pick<Approvals, 'report' | 'tell'>
    forwarder: Forwarder
    tunnels: Tunnels
    gate: string
    log: Logger
    metrics: Metrics
  }) {
    this.#approvals = deps.approvals
    this.#forwarder = deps.forwarder
    this.#tunnels = deps.tunnels
    this.#gate = deps.gate
    this.#log = deps.log
    this.#metrics = deps.metrics
  }

  /** Resolves when the upstream answers; rejects, with nothing sent to the agent, when it does not. */
  async send(letGo: LetGo): Promise<void> {
    const { call, answer, principal, reply } = letGo
    const approval = answer.type === 'go' ? answer.approval : null
    if (answer.type === 'go' && answer.replayed)
      throw refused(
        'already_used',
        answer.approval,
        'This call was forwarded already. To ask anew, call with another Idempotency-Key.',
      )
    const outgoing = outgoingOf(letGo, approval)
    if (!outgoing && approval) {
      await this.#giveBack(principal, approval, 'The body cannot be changed.')
      throw refused(
        'edits_not_allowed',
        approval,
        'A person approved this call with changes, and its body is none that can be changed. Nothing was sent.',
      )
    }
    if (!outgoing) throw new CountersignError('internal_error')

    const forwarded = await this.#forward(outgoing, letGo)
    const { name } = call.upstream
    this.#metrics.forwards.inc({ upstream: name, outcome: forwarded.type })
    if (forwarded.type === 'answered') {
      reply.hijack()
      if (approval) this.#approvals.tell(this.#reportOf(principal, approval, 'executed', forwarded.status, null))
      return
    }
    const about = approval === null ? {} : { approvalId: approval.id }
    if (forwarded.type === 'failed') {
      const detail = `The upstream ${name} has the call, and gave no answer: ${forwarded.why}.`
      this.#log.warn({ upstream: name, ...about }, detail)
      if (approval) this.#approvals.tell(this.#reportOf(principal, approval, 'failed', null, forwarded.why))
      throw new CountersignError('upstream_failed', { detail: `${detail} It may have been executed.`, ...about })
    }
    const detail = `The upstream ${name} could not be reached: ${forwarded.why}. Nothing was sent.`
    this.#log.warn({ upstream: name, ...about }, detail)
    if (answer.type === 'allow') answer.giveBack()
    if (approval) await this.#giveBack(principal, approval, forwarded.why)
    throw new CountersignError('upstream_unreachable', { detail, ...about })
  }

  #forward(outgoing: Outgoing, { request, reply, upgrading }: LetGo): Promise<Forwarded> {
    return upgrading ? this.#tunnels.open(outgoing, upgrading) : this.#forwarder.forward(outgoing, request, reply.raw)
  }

  /** A retry at once must find the approval as it was, so its answer waits for this. */
  async #giveBack(principal: Principal, approval: Approval, detail: string): Promise<void> {
    const report = this.#reportOf(principal, approval, 'not_executed', null, detail)
    try {
      await this.#approvals.report(report)
    } catch (error) {
      this.#log.warn({ err: error, approvalId: approval.id }, 'a use could not be given back at once')
      this.#approvals.tell(report)
    }
  }

  #reportOf(
    { tenant, id: agentId }: Principal,
    { id, claim }: Approval,
    outcome: Exclude<SettleOutcome, 'unknown'>,
    status: number | null,
    detail: string | null,
  ): SettleReport {
    return { tenant, id, agentId, use: claim?.use ?? null, outcome, status, detail, gate: this.#gate }
  }
}

/** The call as it goes; undefined when it cannot take the changes that it was approved with. */
function outgoingOf({ call, list, request, spool }: LetGo, approval: Approval | null): Outgoing | undefined {
  const { upstream, method, target, peeked } = call
  const { bytes, framing, whole } = peeked
  const approvalId = approval?.id ?? null
  if (approval !== null && approval.edits !== null) {
    const changed = edited(call, approval.edits, list)
    if (!changed) return undefined
    const headers = changed.headers.concat(upstream.headers)
    return { upstream, method, target, approvalId, body: changed.body, headers }
  }
  const body = framing === 'none' ? null : framing === 'length' && whole ? bytes : bodyAfter(request, peeked, spool)
  return { upstream, method, target, approvalId, body, headers: list.concat(upstream.headers) }
}
