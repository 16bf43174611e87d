import type { Actor } from '../../lib/core/actor.ts'
import { type Approval, isOverdue, Status } from '../../lib/core/approval.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import type { ApprovalStore } from '../../lib/ports/approval-store.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { ClaimRequest, ClaimResult } from '../../lib/ports/decider.ts'
import { type Records, refusal } from './records.ts'

/**
 * Answers a call from the record: claims the approval that fits it, joins it while it is pending, or tells how it
 * ended. An id or a key names one record; a fingerprint finds the oldest that fits.
 */
export class Claims {
  readonly #records: Records
  readonly #store: ApprovalStore
  readonly #clock: Clock

  constructor(deps: { records: Records; store: ApprovalStore; clock: Clock }) {
    this.#records = deps.records
    this.#store = deps.store
    this.#clock = deps.clock
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    if (request.approvalId !== null) {
      const named = await this.#records.take(request.tenant, request.approvalId)
      return this.#use(named, request)
    }
    // Most calls are new, and have neither: both are looked for at once.
    const [own, fitting] = await Promise.all([
      request.key === null ? undefined : this.#store.get(request.key),
      this.#fitting(request),
    ])
    if (own) {
      if (own.action.fingerprint !== request.fingerprint) throw keyReused()
      return this.#use(own, request)
    }
    return this.#useOneOf(fitting, request)
  }

  #fitting({ fingerprint, denialMemoryMs }: ClaimRequest): Promise<Approval[]> | Approval[] {
    return fingerprint === null ? [] : this.#store.findByFingerprint(fingerprint, this.#clock.now() - denialMemoryMs)
  }

  async #useOneOf(found: readonly Approval[], request: ClaimRequest): Promise<ClaimResult> {
    for (let fitting = found; ; fitting = await this.#fitting(request)) {
      const now = this.#clock.now()
      const mine = fitting.filter(
        (approval) =>
          approval.tenant === request.tenant && approval.agent.id === request.agentId && !isOverdue(approval, now),
      )
      const told = mine.find((approval) => isReplay(approval, request, now))
      if (told) return { outcome: 'used', approval: told, replay: true }

      const { dedupeWindowMs } = request
      const isJoined = ({ status, requestedAt }: Approval) =>
        status === Status.pending && (dedupeWindowMs === null || now < requestedAt + dedupeWindowMs)
      const best = mine.find(isIn(Status.approved)) ?? mine.find(isJoined) ?? mine.find(isIn(Status.denied))
      if (!best) return { outcome: 'none' }
      const result = await this.#use(best, request)
      // Somebody was faster with the one that was found: look whether another fits.
      if (result.outcome !== 'used' || result.replay) return result
    }
  }

  async #use(approval: Approval, request: ClaimRequest): Promise<ClaimResult> {
    const { agentId, fingerprint, holder, gate, key } = request
    const by: Actor = { id: agentId, name: approval.agent.name, type: 'agent', via: 'http' }
    const command = { type: 'claim', agentId, fingerprint, holder: holder ?? gate, gate, key, by } as const
    const result = await this.#records.apply(approval, command)
    if (result.kind === 'applied') return { outcome: 'claimed', approval: result.approval }
    if (result.kind === 'unchanged') return this.#join(result.approval, request)
    switch (result.code) {
      case 'already_used':
        return {
          outcome: 'used',
          approval: result.approval,
          replay: isReplay(result.approval, request, this.#clock.now()),
        }
      case 'approval_denied':
        return { outcome: 'denied', approval: result.approval }
      case 'approval_expired':
        return { outcome: 'expired', approval: result.approval }
      case 'approval_cancelled':
        return { outcome: 'cancelled', approval: result.approval }
      default:
        throw refusal(result)
    }
  }

  /** The call waits for a pending approval. If that is decided this very moment, the call takes what it finds. */
  async #join(approval: Approval, request: ClaimRequest): Promise<ClaimResult> {
    const { holder, keep, callback = null } = request
    const isOn = holder === null || approval.holders.includes(holder)
    const isTold = callback === null || (approval.callback ?? null) !== null
    if (isOn && isTold && (approval.keep || !keep)) return { outcome: 'pending', approval }
    const command = { type: 'join', holder, keep, callback } as const
    const { approval: joined } = await this.#records.apply(approval, command)
    return joined.status === Status.pending ? { outcome: 'pending', approval: joined } : this.#use(joined, request)
  }
}

const isIn = (status: Status) => (approval: Approval) => approval.status === status

/** The same call asks again for what it was given, and has reported nothing yet. */
const isReplay = (approval: Approval, { key }: ClaimRequest, now: number): boolean =>
  approval.status === Status.claimed && key !== null && approval.claim?.key === key && now < approval.expiresAt

const keyReused = () =>
  new CountersignError(
    'idempotency_key_reused',
    'This Idempotency-Key was used for a call with other arguments, or the rules have changed since. Use a new key.',
  )
