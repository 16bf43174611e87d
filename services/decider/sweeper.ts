import { type Approval, dueAt, endedAt } from '../../lib/core/approval.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import type { ApprovalStore } from '../../lib/ports/approval-store.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Records } from './records.ts'
import { Setbacks } from './setbacks.ts'

const BATCH = 200
/** Another decider may have written something that is due earlier than what we know of. */
const LONGEST_PAUSE_MS = 1_000
const PRUNE_EVERY_MS = 3_600_000
/** How many records a line of the log names. */
const NAMED = 10

/**
 * Does what is due: warns and escalates while nobody decides, expires what nobody answered, closes claims that nobody
 * settled. Several sweepers may run at once: the compare-and-swap lets one of them win each record.
 */
export class Sweeper {
  readonly #store: ApprovalStore
  readonly #records: Records
  readonly #clock: Clock
  readonly #log: Logger
  readonly #retentionMs: number
  readonly #setbacks = new Setbacks()
  /** What was due by then was tried. */
  #sweptAt = Number.NEGATIVE_INFINITY
  #pruneAt = 0
  #cancelTimer: () => void = () => {}
  #armedFor = Number.POSITIVE_INFINITY
  #running: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(deps: { store: ApprovalStore; records: Records; clock: Clock; log: Logger; retentionMs: number }) {
    this.#store = deps.store
    this.#records = deps.records
    this.#clock = deps.clock
    this.#log = deps.log
    this.#retentionMs = deps.retentionMs
  }

  start(): void {
    this.#arm(0)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer()
    await this.#running
  }

  /** Makes sure that the sweeper wakes in time for this record. */
  expect(approval: Approval): void {
    const due = dueAt(approval)
    if (due !== null && due < this.#armedFor) this.#arm(due - this.#clock.now())
  }

  /**
   * Sweeps everything that is due, in bounded batches; resolves with the records that came to their end. A record that
   * fails is left alone for a while, and stops nobody behind it.
   */
  async sweep(): Promise<Approval[]> {
    const ended: Approval[] = []
    for (;;) {
      const now = this.#clock.now()
      const limit = BATCH + this.#setbacks.size
      const due = await this.#store.findDue(now, limit)
      this.#sweptAt = now
      const { applied, failed } = await this.#sweepEach(due.filter(({ id }) => !this.#setbacks.isLeftAlone(id, now)))
      ended.push(...applied.filter((approval) => endedAt(approval) !== null))
      // After a pause a record may have more than one step behind it.
      const isMore = due.length === limit || applied.some((approval) => isDue(approval, this.#clock.now()))
      const isGettingOn = applied.length > 0 || (failed > 0 && !this.#setbacks.isFull)
      if (!isMore || !isGettingOn || this.#closed) return ended
    }
  }

  /** Each on its own: resolves with those that changed, and how many failed. */
  async #sweepEach(due: readonly Approval[]): Promise<{ applied: Approval[]; failed: number }> {
    const applied: Approval[] = []
    const failed: string[] = []
    let reason: unknown
    const sweepOne = async (approval: Approval) => {
      try {
        const result = await this.#records.apply(approval, { type: 'timeout' })
        this.#setbacks.forget(approval.id)
        if (result.kind === 'applied') applied.push(result.approval)
      } catch (error) {
        const isAway = error instanceof CountersignError && error.code === 'decider_unavailable'
        this.#setbacks.note(approval.id, { now: this.#clock.now(), isAway })
        failed.push(approval.id)
        reason ??= error
      }
    }
    await Promise.all(due.map(sweepOne))
    if (failed.length > 0)
      this.#log.error(
        { err: reason, count: failed.length, approvals: failed.slice(0, NAMED) },
        'approvals could not be expired, escalated or closed; they will be tried again',
      )
    return { applied, failed: failed.length }
  }

  /** Once an hour: deletes what ended longer ago than it is to be kept. */
  async #prune(): Promise<void> {
    const now = this.#clock.now()
    if (now < this.#pruneAt) return
    this.#pruneAt = now + PRUNE_EVERY_MS
    const pruned = await this.#store.prune(now - this.#retentionMs)
    if (pruned > 0) this.#log.info({ pruned }, 'ended approvals were deleted: their retention is over')
  }

  #arm(ms: number): void {
    if (this.#closed) return
    this.#cancelTimer()
    const pause = Math.max(0, Math.min(ms, LONGEST_PAUSE_MS))
    this.#armedFor = this.#clock.now() + pause
    this.#cancelTimer = this.#clock.after(pause, () => {
      // While it sweeps, nothing re-arms it; what comes in meanwhile is found by `nextDueAt`.
      this.#armedFor = Number.NEGATIVE_INFINITY
      this.#running = this.#run()
    })
  }

  async #run(): Promise<void> {
    let next: number | undefined
    try {
      await this.sweep()
      await this.#prune()
      next = await this.#store.nextDueAt()
    } catch (error) {
      this.#log.warn({ err: error }, 'the sweep failed; it will be tried again')
    }
    // What was due at the sweep and still is could not be swept: asking for it at once would never end.
    this.#arm(next === undefined || next <= this.#sweptAt ? LONGEST_PAUSE_MS : next - this.#clock.now())
  }
}

const isDue = (approval: Approval, now: number): boolean => (dueAt(approval) ?? Number.POSITIVE_INFINITY) <= now
