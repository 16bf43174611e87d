import { CountersignError } from '../../lib/core/errors.ts'
import type { ApprovalDecided } from '../../lib/core/events.ts'
import { RecentMap } from '../../lib/core/recent-map.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import { Mailbox } from './mailbox.ts'

/** While it waits, a hold asks the record this often: a lost event costs time, never the answer. */
const LOOK_EVERY_MS = 15_000
/** The decider's clock alone judges expiry; the gate's deadline is a little later. */
const GRACE_MS = 500
const REMEMBERED_DECISIONS = 10_000

/** Why a hold wakes. `look`: the record may have changed. `waited`: the caller's own limit. `deadline`: no more time. */
export type Wake =
  | { type: 'decided'; event: ApprovalDecided }
  | { type: 'look' | 'waited' | 'deadline' | 'disconnected' | 'stopping' }

/** One connection that waits for one approval. */
export interface Hold {
  holder: string
  /** Begins to listen for this approval, also for a decision that came a moment ago. */
  bind(approvalId: string): void
  /** Arms the timers: `waitMs` is the caller's limit, `expiresInMs` the approval's. */
  arm(limits: { waitMs: number; expiresInMs: number }): void
  /** The approval expires at another time than it was armed for. */
  extend(expiresInMs: number): void
  next(): Promise<Wake>
  /** Frees the place. A hold that is not released counts against the limits for ever. */
  release(): void
}

/** The connections that wait here. In memory alone: the record is the decider's. */
export class Holds {
  readonly #clock: Clock
  readonly #limits: { maxHolds: number; maxHoldsPerAgent: number }
  readonly #newHolder: () => string
  readonly #all = new Set<Mailbox<Wake>>()
  readonly #byApproval = new Map<string, Set<Mailbox<Wake>>>()
  readonly #perAgent = new Map<string, number>()
  readonly #decisions = new RecentMap<string, ApprovalDecided>(REMEMBERED_DECISIONS)
  #stopping = false

  constructor(deps: {
    clock: Clock
    limits: { maxHolds: number; maxHoldsPerAgent: number }
    newHolder: () => string
  }) {
    this.#clock = deps.clock
    this.#limits = deps.limits
    this.#newHolder = deps.newHolder
  }

  get size(): number {
    return this.#all.size
  }

  /** A place for one waiting call; rejects with `too_many_holds` when there is none. */
  open(agentId: string, signal: AbortSignal): Hold {
    if (this.#stopping) throw new CountersignError('shutting_down', { retryAfter: 1 })
    this.#checkLimits(agentId)
    const mailbox = new Mailbox<Wake>()
    const disconnected = () => mailbox.put({ type: 'disconnected' })
    const timers: (() => void)[] = []
    let approvalId: string | undefined
    this.#all.add(mailbox)
    this.#perAgent.set(agentId, (this.#perAgent.get(agentId) ?? 0) + 1)
    signal.addEventListener('abort', disconnected)
    if (signal.aborted) disconnected()

    const expireIn = (ms: number) => {
      timers[1]?.()
      timers[1] = this.#clock.after(ms + GRACE_MS, () => mailbox.put({ type: 'deadline' }))
    }
    const lookAgain = () => {
      timers[2] = this.#clock.after(LOOK_EVERY_MS, () => {
        mailbox.put({ type: 'look' })
        lookAgain()
      })
    }
    return {
      holder: this.#newHolder(),
      bind: (id) => {
        approvalId = id
        const listening = this.#byApproval.get(id) ?? new Set()
        this.#byApproval.set(id, listening.add(mailbox))
        const event = this.#decisions.get(id)
        if (event) mailbox.put({ type: 'decided', event })
      },
      arm: ({ waitMs, expiresInMs }) => {
        timers[0] = this.#clock.after(waitMs, () => mailbox.put({ type: 'waited' }))
        expireIn(expiresInMs)
        lookAgain()
      },
      extend: expireIn,
      next: () => mailbox.next(),
      release: () => {
        for (const cancel of timers) cancel()
        signal.removeEventListener('abort', disconnected)
        if (!this.#all.delete(mailbox)) return
        this.#perAgent.set(agentId, (this.#perAgent.get(agentId) ?? 1) - 1)
        if (this.#perAgent.get(agentId) === 0) this.#perAgent.delete(agentId)
        if (approvalId === undefined) return
        const listening = this.#byApproval.get(approvalId)
        listening?.delete(mailbox)
        if (listening?.size === 0) this.#byApproval.delete(approvalId)
      },
    }
  }

  /** Wakes those who wait for it, the newest first: an older connection of the same call may be dead already. */
  decided(event: ApprovalDecided): void {
    this.#decisions.set(event.id, event)
    for (const mailbox of [...(this.#byApproval.get(event.id) ?? [])].reverse()) mailbox.put({ type: 'decided', event })
  }

  /** Something may have been missed: everybody reads the record. */
  look(): void {
    for (const mailbox of this.#all) mailbox.put({ type: 'look' })
  }

  /** Sends everybody away; nobody new gets in. */
  stop(): void {
    this.#stopping = true
    for (const mailbox of this.#all) mailbox.put({ type: 'stopping' })
  }

  #checkLimits(agentId: string): void {
    const { maxHolds, maxHoldsPerAgent } = this.#limits
    if (this.#all.size >= maxHolds) throw tooMany(`This gate holds ${maxHolds} calls, which is its limit.`)
    if ((this.#perAgent.get(agentId) ?? 0) >= maxHoldsPerAgent)
      throw tooMany(`This agent has ${maxHoldsPerAgent} calls waiting, which is its limit.`)
  }
}

export const tooMany = (detail: string) => new CountersignError('too_many_holds', { detail, retryAfter: 5 })
