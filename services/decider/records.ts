import { type Approval, isBehind, Status } from '../../lib/core/approval.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import type { ApprovalRequested } from '../../lib/core/events.ts'
import { isApprovalId } from '../../lib/core/ids.ts'
import { type Command, createApproval, type Transition, transition } from '../../lib/core/transition.ts'
import { viewOf } from '../../lib/core/view.ts'
import type { ApprovalStore } from '../../lib/ports/approval-store.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import { Recent } from './recent.ts'

/** How long an id that is not on record is waited for: its request may still be on the bus. */
const ARRIVAL_WAIT_MS = 1_000
/** How often the store is asked meanwhile, for what another decider wrote. */
const ARRIVAL_POLL_MS = 100

/** The one writer of approvals: every change goes through `transition` and is saved by compare-and-swap. */
export class Records {
  readonly #store: ApprovalStore
  readonly #clock: Clock
  readonly #onWrite: (approval: Approval, isStep: boolean) => void
  readonly #isSent: (eventId: string) => boolean
  readonly #arrivals = new Map<string, Set<() => void>>()
  readonly #recent = new Recent()

  /**
   * `onWrite` hears of every durable write; `isStep` is false for a change of holders. `isSent` tells of an event that is
   * on the bus: a record that is written again owes it no more.
   */
  constructor(deps: {
    store: ApprovalStore
    clock: Clock
    onWrite: (approval: Approval, isStep: boolean) => void
    isSent: (eventId: string) => boolean
  }) {
    this.#store = deps.store
    this.#isSent = deps.isSent
    this.#clock = deps.clock
    this.#onWrite = deps.onWrite
  }

  /** Records a request; the same request again changes nothing. */
  async create(event: ApprovalRequested): Promise<void> {
    const approval = createApproval(event, this.#clock.now())
    const inserted = await this.#store.insert(approval)
    if (inserted) this.#recent.put(approval)
    for (const arrived of this.#arrivals.get(event.id) ?? []) arrived()
    if (inserted) this.#onWrite(approval, true)
  }

  /** The record as it stands now: expired when its time is over, escalated when that is due; rejects with `approval_not_found` also for another tenant's. */
  async find(tenant: string, id: string): Promise<Approval> {
    const approval = await this.#getOrWait(id)
    if (approval?.tenant !== tenant) throw notFound()
    return this.#caughtUp(approval)
  }

  /** The record for a command: as this decider wrote it last, or as `find` reads it. Not for an answer. */
  async take(tenant: string, id: string): Promise<Approval> {
    return this.#recent.get(tenant, id) ?? this.find(tenant, id)
  }

  /** Applies a command to a record of this tenant; rejects with the refusal's code. */
  async command(tenant: string, id: string, command: Command): Promise<Approval> {
    return this.commandOn(await this.take(tenant, id), command)
  }

  /** Applies a command to a record that was just read or taken; rejects with the refusal's code. */
  async commandOn(read: Approval, command: Command): Promise<Approval> {
    const result = await this.apply(read, command)
    if (result.kind === 'refused') throw refusal(result)
    return result.approval
  }

  /**
   * Applies a command to a record that was just read or taken; a lost compare-and-swap reads it again, so that the first
   * writer wins and the next sees it. What changes nothing is said of the record as it was read.
   */
  async apply(start: Approval, command: Command): Promise<Transition> {
    let current = start
    for (;;) {
      const now = this.#clock.now()
      const behind = isBehind(current, now)
      const result = transition(current, behind ? { type: 'timeout' } : command, now)
      if (result.kind !== 'applied') {
        if (!this.#recent.has(current)) return result
        current = await this.#read(start.id)
        continue
      }
      const next = {
        ...result.approval,
        outbox: result.approval.outbox.filter(({ eventId }) => !this.#isSent(eventId)),
      }
      if (!(await this.#store.replace(current.version, next))) {
        current = await this.#read(start.id)
        continue
      }
      this.#recent.put(next)
      this.#onWrite(next, next.history.length > current.history.length)
      // What was due on the way is on record now; the command meets it there.
      if (!behind || command.type === 'timeout') return { ...result, approval: next }
      current = next
    }
  }

  /** After a pause a record may have more than one step behind it. */
  async #caughtUp(read: Approval): Promise<Approval> {
    let current = read
    while (isBehind(current, this.#clock.now())) {
      const { kind, approval } = await this.apply(current, { type: 'timeout' })
      if (kind !== 'applied') return approval
      current = approval
    }
    return current
  }

  async #read(id: string): Promise<Approval> {
    const standing = await this.#store.get(id)
    if (!standing) throw notFound()
    return standing
  }

  async #getOrWait(id: string): Promise<Approval | undefined> {
    const found = await this.#store.get(id)
    if (found || !isApprovalId(id)) return found
    const deadline = this.#clock.now() + ARRIVAL_WAIT_MS
    for (;;) {
      await this.#arrivalOf(id)
      const approval = await this.#store.get(id)
      if (approval || this.#clock.now() >= deadline) return approval
    }
  }

  /** Resolves when the id was created here, and after a short while at the latest. */
  #arrivalOf(id: string): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#arrivals.get(id) ?? new Set()
      this.#arrivals.set(id, waiting)
      const arrived = () => {
        cancel()
        waiting.delete(arrived)
        if (waiting.size === 0) this.#arrivals.delete(id)
        resolve()
      }
      const cancel = this.#clock.after(ARRIVAL_POLL_MS, arrived)
      waiting.add(arrived)
    })
  }
}

/** The same words whether the id is unknown or another tenant's. */
export const notFound = () => new CountersignError('approval_not_found', 'There is no such approval.')

/** A refused command as an error that carries the record as it stands. */
export function refusal({ code, detail, approval }: Extract<Transition, { kind: 'refused' }>): CountersignError {
  return new CountersignError(code, {
    detail,
    approvalId: approval.id,
    ...(approval.status === Status.pending ? {} : { approval: viewOf(approval) }),
    expiresAt: new Date(approval.expiresAt).toISOString(),
  })
}
