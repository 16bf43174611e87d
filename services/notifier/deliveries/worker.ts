import { isAsking, nextAttemptIn } from '../../../lib/core/delivery-ladder.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { AttemptOutcome } from '../../../lib/ports/channel.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Delivery, DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import type { Pace } from '../../../lib/runtime/pace.ts'
import { isAgentCallback } from './agent-callbacks.ts'
import type { Endpoint } from './endpoint.ts'
import type { Endpoints } from './endpoints.ts'
import type { Health } from './health.ts'
import { Slots } from './slots.ts'

/** Time of one attempt in all. */
const ATTEMPT_MS = 15_000
/** How long a delivery stays with a worker that died; longer than an attempt and the note of its outcome. */
const LEASE_MS = 25_000
/** At the end, attempts have this long to come to theirs; the rest is tried again after the next start. */
const GRACE_MS = 1_000
/** A record that is not there may be on its way to the decider for this long. */
const ARRIVAL_MS = 15 * 60_000
/** What another process made, replayed or left behind is seen after this at the latest. */
const LOOK_EVERY_MS = 1_000
const MAX_LOG = 20
const MAX_DETAIL = 300

/** An attempt that is over. */
interface Over {
  delivery: Delivery
  endpoint: Endpoint
  outcome: AttemptOutcome
  durationMs: number
  /** The delivery as it stands after it. */
  next: Delivery
}

/** Runs the deliveries that are due, of every endpoint, bounded and fairly. Several workers share them by lease. */
export class Worker {
  readonly #store: DeliveryStore
  readonly #endpoints: Pick<Endpoints, 'current'>
  readonly #decider: Pick<Decider, 'lookup'>
  readonly #health: Health
  readonly #clock: Clock
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #random: () => number
  readonly #owner: string
  readonly #pace: Pace
  readonly #slots = new Slots()
  readonly #running = new Set<Promise<void>>()
  /** Attempts that are over and not noted yet. */
  #over: Over[] = []
  /** Those of the attempts under way. */
  readonly #deadlines = new Set<AbortController>()
  #isStopping = false
  #isClosing = false
  #turn: Promise<void> | undefined
  #isWoken = false
  #cancelLook = () => {}

  constructor(deps: {
    store: DeliveryStore
    endpoints: Pick<Endpoints, 'current'>
    decider: Pick<Decider, 'lookup'>
    health: Health
    clock: Clock
    log: Logger
    metrics: Metrics
    pace: Pace
    /** From 0 to below 1. */
    random: () => number
    /** Unlike any other worker's, also of a former life of this process. */
    owner: string
  }) {
    this.#store = deps.store
    this.#endpoints = deps.endpoints
    this.#decider = deps.decider
    this.#health = deps.health
    this.#clock = deps.clock
    this.#log = deps.log
    this.#metrics = deps.metrics
    this.#pace = deps.pace
    this.#random = deps.random
    this.#owner = deps.owner
  }

  /** Looks for what is due now; it goes on by itself from then on. */
  wake(): void {
    if (this.#isClosing) return
    this.#isWoken = true
    this.#turn ??= this.#takeTurns().finally(() => {
      this.#turn = undefined
      // Woken between the last look and here.
      if (this.#isWoken) this.wake()
    })
  }

  /** Begins nothing more; resolves when what is under way has come to its end, or was given up to be tried again. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#cancelLook()
    await this.#turn
    const cancel = this.#clock.after(GRACE_MS, () => {
      this.#isStopping = true
      for (const deadline of this.#deadlines) deadline.abort()
    })
    await Promise.all(this.#running)
    cancel()
    await this.#noteAll()
  }

  async #takeTurns(): Promise<void> {
    let waitMs = LOOK_EVERY_MS
    while (this.#isWoken && !this.#isClosing) {
      this.#isWoken = false
      try {
        waitMs = await this.#takeTurn()
      } catch (error) {
        this.#log.warn({ err: error }, 'deliveries could not be read')
      }
      // What comes in the meantime shares the next transaction.
      const pauseMs = this.#pace.pauseMs()
      if (pauseMs > 0) await new Promise<void>((resolve) => this.#clock.after(pauseMs, resolve))
    }
    this.#cancelLook()
    if (!this.#isClosing) this.#cancelLook = this.#clock.after(waitMs, () => this.wake())
  }

  /** Notes what is over and begins what there is room for; resolves with when to look again, in milliseconds from now. */
  async #takeTurn(): Promise<number> {
    const noted = this.#noteAll()
    try {
      return await this.#beginDue()
    } finally {
      await noted
    }
  }

  async #beginDue(): Promise<number> {
    const now = this.#clock.now()
    const { endpoints: due, nextAt } = await this.#store.due(now)
    const known = due.length === 0 ? undefined : await this.#endpoints.current()
    const open = due.flatMap((id) => {
      const endpoint = known?.get(id)
      return endpoint?.isOpen ? [endpoint] : []
    })
    this.#metrics.endpointsDue.set(open.length)
    const shares = this.#slots.share(open.map(({ id }) => id))
    await Promise.all(
      open.map(async (endpoint) => {
        const limit = shares.get(endpoint.id)
        if (limit === undefined) return
        const claimed = await this.#claim(endpoint.id, limit)
        for (const delivery of claimed) this.#begin(delivery, endpoint)
        if (claimed.length === limit) this.#isWoken = true
      }),
    )
    return Math.max(1, Math.min(LOOK_EVERY_MS, (nextAt ?? Number.POSITIVE_INFINITY) - now))
  }

  #claim(endpoint: string, limit: number): Promise<Delivery[]> {
    const now = this.#clock.now()
    return this.#store.claim({ endpoint, owner: this.#owner, now, leaseMs: LEASE_MS, limit })
  }

  #begin(delivery: Delivery, endpoint: Endpoint): void {
    this.#slots.begin(endpoint.id)
    this.#metrics.deliveriesInFlight.set(this.#slots.inFlight)
    const running = this.#attempt(delivery, endpoint).finally(() => {
      this.#running.delete(running)
      this.wake()
    })
    this.#running.add(running)
  }

  async #attempt(delivery: Delivery, endpoint: Endpoint): Promise<void> {
    const startedAt = this.#clock.now()
    const outcome = await this.#deliver(delivery, endpoint)
    const durationMs = this.#clock.now() - startedAt
    const next = await this.#after(delivery, outcome, { at: startedAt, durationMs })
    this.#over.push({ delivery, endpoint, outcome, durationMs, next })
  }

  async #noteAll(): Promise<void> {
    await Promise.all(
      this.#over.splice(0).map(async (over) => {
        const { delivery, endpoint, outcome } = over
        this.#slots.end(endpoint.id, outcome.type === 'delivered')
        this.#metrics.deliveriesInFlight.set(this.#slots.inFlight)
        try {
          await this.#note(over)
        } catch (error) {
          // Nothing is lost: its lease ends, and it is tried again.
          this.#log.warn({ err: error, deliveryId: delivery.id }, 'the outcome of an attempt could not be noted')
        }
      }),
    )
  }

  async #note({ delivery, endpoint, outcome, durationMs, next }: Over): Promise<void> {
    const isKept = await this.#store.finish(this.#owner, next)
    const { type } = outcome
    this.#metrics.deliveryAttempts.inc({ endpoint: endpoint.label, outcome: type })
    this.#metrics.deliverySeconds.observe({ endpoint: endpoint.label }, durationMs / 1000)
    this.#log.info(
      {
        deliveryId: delivery.id,
        endpoint: endpoint.id,
        tenant: delivery.tenant,
        approvalId: delivery.approvalId,
        type: delivery.type,
        attempt: delivery.attempts,
        outcome: type,
        status: outcome.status ?? null,
        ...('detail' in outcome ? { detail: outcome.detail } : {}),
        durationMs,
        delivery: isKept ? next.status : 'taken over',
        ...(isKept && next.status === 'waiting' ? { nextAttemptAt: new Date(next.dueAt).toISOString() } : {}),
      },
      'delivery attempted',
    )
    const { id, tenant, canBeDisabled } = endpoint
    if (this.#isStopping || isAgentCallback(id)) return
    await this.#health.attempted({ endpoint: id, tenant, outcome: type, canBeDisabled })
  }

  /** What came of one attempt, in time: also an endpoint that does not listen to its signal holds nobody up. */
  async #deliver(delivery: Delivery, endpoint: Endpoint): Promise<AttemptOutcome> {
    const deadline = new AbortController()
    const { signal } = deadline
    this.#deadlines.add(deadline)
    const cancel = this.#clock.after(ATTEMPT_MS, () => deadline.abort())
    try {
      const tooLate = new Promise<AttemptOutcome>((resolve) => {
        const end = () => resolve({ type: 'failed', detail: `no answer came within ${ATTEMPT_MS / 1000} s` })
        signal.addEventListener('abort', end, { once: true })
      })
      const outcome = await Promise.race([endpoint.attempt(delivery, signal), tooLate])
      return 'detail' in outcome ? { ...outcome, detail: outcome.detail.slice(0, MAX_DETAIL) } : outcome
    } catch (error) {
      this.#log.warn({ err: error, endpoint: endpoint.id, deliveryId: delivery.id }, 'an attempt failed unexpectedly')
      return { type: 'failed', detail: 'it could not be sent' }
    } finally {
      cancel()
      this.#deadlines.delete(deadline)
    }
  }

  /** The delivery as it stands after this attempt. */
  async #after(
    delivery: Delivery,
    outcome: AttemptOutcome,
    { at, durationMs }: { at: number; durationMs: number },
  ): Promise<Delivery> {
    const detail = 'detail' in outcome ? outcome.detail : null
    const entry = { at, durationMs, outcome: outcome.type, status: outcome.status ?? null, detail }
    const now = this.#clock.now()
    const tried: Delivery = { ...delivery, log: [...delivery.log, entry].slice(-MAX_LOG), owner: null }
    const ended = (status: Delivery['status'], receipt = delivery.receipt): Delivery => ({
      ...tried,
      status,
      receipt,
      endedAt: now,
    })
    if (outcome.type === 'delivered') return ended('delivered', outcome.receipt)
    if (outcome.type !== 'failed') return ended('dead')
    if (this.#isStopping) return { ...delivery, owner: null, dueAt: now }
    const waitMs = nextAttemptIn({
      type: delivery.type,
      attempts: delivery.attempts,
      retryAfterMs: outcome.retryAfterMs,
      random: this.#random(),
    })
    if (waitMs === undefined) return ended('dead')
    const dueAt = now + waitMs
    return (await this.#isStillAsked(delivery, dueAt)) ? { ...tried, dueAt } : ended('stopped')
  }

  /**
   * Whether anybody will still be asked at that time. The event that ends it may have come before this delivery was
   * made, so that the record is looked at; when it cannot be, the next attempt looks again.
   */
  async #isStillAsked({ type, tenant, approvalId, createdAt }: Delivery, at: number): Promise<boolean> {
    if (!isAsking(type) || approvalId === null) return true
    try {
      const { status, expiresAt } = await this.#decider.lookup(tenant, approvalId)
      return status === 'pending' && at < expiresAt
    } catch (error) {
      const isMissing = error instanceof CountersignError && error.code === 'approval_not_found'
      return !isMissing || this.#clock.now() - createdAt < ARRIVAL_MS
    }
  }
}
