import { formatDuration } from '../../lib/core/duration.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import type { VerdictLimit } from '../../lib/core/policy/verdict.ts'
import { RateWindow, type Spending } from '../../lib/core/rate-window.ts'
import { RecentMap } from '../../lib/core/recent-map.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'

/** What a call has spent, to be given back when it was not executed. */
export interface Spent {
  spendings: readonly Spending[]
  at: number
}

const REMEMBERED_USES = 10_000
const NOTHING: Spent = { spendings: [], at: 0 }

/**
 * The rate limits of this gate, in memory: each gate counts what it lets go itself, and takes its share of every limit.
 * A share of a limit is rounded down, and is one call at least.
 */
export class Limits {
  readonly #clock: Clock
  readonly #metrics: Metrics
  readonly #share: number
  readonly #window = new RateWindow()
  readonly #uses = new RecentMap<string, { use: number; spent: Spent }>(REMEMBERED_USES)

  constructor(deps: { clock: Clock; metrics: Metrics; share: number }) {
    this.#clock = deps.clock
    this.#metrics = deps.metrics
    this.#share = deps.share
  }

  /** Why a call could not go now, `rate_limited`, or undefined. Spends nothing. */
  refusal(limits: readonly VerdictLimit[], approvalId?: string): CountersignError | undefined {
    const taken = this.#take(limits, approvalId)
    if (taken instanceof CountersignError) return taken
    this.#window.giveBack(taken.spendings, taken.at)
    return undefined
  }

  /** Spends all of the limits, or none and returns the refusal. */
  spend(limits: readonly VerdictLimit[], approvalId?: string): Spent | CountersignError {
    return this.#take(limits, approvalId)
  }

  /** The use of an approval spent this: its outcome may give it back. */
  remember(approvalId: string, use: number, spent: Spent): void {
    if (spent.spendings.length === 0) return
    this.#uses.set(approvalId, { use, spent })
  }

  /** A call that went without an approval was not executed. */
  giveBack({ spendings, at }: Spent): void {
    this.#window.giveBack(spendings, at)
  }

  /** What came of a use; null: of the latest one. */
  reported(approvalId: string, use: number | null, outcome: string): void {
    const known = this.#uses.get(approvalId)
    if (!known || (use !== null && use !== known.use)) return
    this.#uses.delete(approvalId)
    if (outcome === 'not_executed') this.#window.giveBack(known.spent.spendings, known.spent.at)
  }

  #take(limits: readonly VerdictLimit[], approvalId: string | undefined): Spent | CountersignError {
    if (limits.length === 0) return NOTHING
    const spendings = limits.map(({ key, limit, windowMs }) => ({
      key,
      limit: Math.max(1, Math.floor(limit * this.#share)),
      windowMs,
    }))
    const taken = this.#window.tryTake(spendings, this.#clock.now())
    if (taken.ok) return { spendings, at: taken.at }
    const over = limits.find(({ key }) => key === taken.key)
    this.#metrics.rateLimited.inc({ rule: over?.ruleId ?? '' })
    return new CountersignError('rate_limited', {
      detail: over
        ? `The rule ${over.ruleId} lets at most ${over.limit} calls go in ${formatDuration(over.windowMs)}. Nothing was done.`
        : 'A rate limit is used up. Nothing was done.',
      retryAfter: Math.max(1, Math.ceil(taken.retryAfterMs / 1000)),
      ...(approvalId === undefined ? {} : { approvalId }),
    })
  }
}
