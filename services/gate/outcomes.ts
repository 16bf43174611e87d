import { type Approval, CLAIM_TIMEOUT_MS, isForwarded } from '../../lib/core/approval.ts'
import { type DomainEvent, Topic } from '../../lib/core/events.ts'
import { RecentMap } from '../../lib/core/recent-map.ts'
import type { Bus } from '../../lib/ports/bus.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Decider, SettleReport } from '../../lib/ports/decider.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import { isCode } from './refusals.ts'

/** How often a decider that is away is asked again, and for how long, before the topic carries the outcome. */
const DECIDER_AGAIN_MS = 250
const DECIDER_PATIENCE_MS = 2_000
/** How often an outcome that nobody waits for is tried again while the bus is away too. */
const AGAIN_MS = 1_000
const REMEMBERED_USES = 10_000

/** A report on a use that is known. */
type Report = SettleReport & { use: number }

/** What became of uses: told to the decider, or by the topic while the decider stays away. */
export class Outcomes {
  readonly #bus: Pick<Bus, 'publish'>
  readonly #decider: Pick<Decider, 'settle'>
  readonly #clock: Clock
  readonly #log: Logger
  readonly #maxUntold: number
  /** The uses that this gate let go: it vouches for a report on one of these, by the agent that has it. */
  readonly #uses = new RecentMap<string, { agentId: string; use: number; forwarded: boolean }>(REMEMBERED_USES)
  readonly #underWay = new Set<Promise<void>>()
  #stopping = false

  constructor(deps: {
    bus: Pick<Bus, 'publish'>
    decider: Pick<Decider, 'settle'>
    clock: Clock
    log: Logger
    /** How many outcomes that nobody waits for may be on their way at once. */
    maxUntold: number
  }) {
    this.#bus = deps.bus
    this.#decider = deps.decider
    this.#clock = deps.clock
    this.#log = deps.log
    this.#maxUntold = deps.maxUntold
  }

  /** The use that this claim is goes to its agent. */
  handedOut({ id, agent, claim, action }: Approval): void {
    if (claim !== null) this.#uses.set(id, { agentId: agent.id, use: claim.use, forwarded: isForwarded(action) })
  }

  /**
   * Reports to the decider. While it stays away, the topic carries the report of a use that this gate let go, and the
   * answer is the report: the record follows. Rejects with the record's refusal; with `decider_unavailable` when the
   * gate cannot vouch for the report, and with `bus_unavailable` when nobody could be told.
   */
  async report(report: SettleReport): Promise<{ approval: Approval } | { reported: Report }> {
    const known = this.#uses.get(report.id)
    const isMine =
      known?.agentId === report.agentId &&
      (report.use ?? known.use) === known.use &&
      !(known.forwarded && report.reporter === 'agent')
    // «The latest use» may be another one by the time of the next try.
    const named = isMine ? { ...report, use: known.use } : undefined
    const deadline = this.#clock.now() + DECIDER_PATIENCE_MS
    for (;;) {
      try {
        const approval = await this.#decider.settle(named ?? report)
        this.#uses.delete(report.id)
        return { approval }
      } catch (error) {
        if (!isCode(error, 'decider_unavailable') || !named) throw error
        if (this.#stopping || this.#clock.now() + DECIDER_AGAIN_MS > deadline) break
      }
      await this.#pause(DECIDER_AGAIN_MS)
    }
    await this.#bus.publish([this.#eventOf(named)])
    return { reported: named }
  }

  /** Reports what nobody waits for, until it is heard or the sweeper has closed the claim. */
  tell(report: SettleReport): void {
    if (this.#underWay.size >= this.#maxUntold) {
      this.#giveUp(report, new Error(`${this.#maxUntold} outcomes wait to be told already`))
      return
    }
    const told = this.#tell(report).finally(() => this.#underWay.delete(told))
    this.#underWay.add(told)
  }

  /** Tells what is left to tell, once more; then gives up. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#underWay)
  }

  async #tell(report: SettleReport): Promise<void> {
    const deadline = this.#clock.now() + CLAIM_TIMEOUT_MS
    for (;;) {
      try {
        await this.report(report)
        return
      } catch (error) {
        const isAway = isCode(error, 'decider_unavailable') || isCode(error, 'bus_unavailable')
        if (!isAway || this.#stopping || this.#clock.now() >= deadline) return this.#giveUp(report, error)
      }
      await this.#pause(AGAIN_MS)
    }
  }

  #giveUp({ id, tenant, use, outcome, detail, gate }: SettleReport, error: unknown): void {
    this.#log.error(
      { err: error, approvalId: id, tenant, use, outcome, detail, gate },
      'the outcome of a call could not be reported; without a report the record will say unknown',
    )
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve))
  }

  /** The same report has the same id, however often it goes out. */
  #eventOf({ id, tenant, use, outcome, status, detail, gate }: Report): DomainEvent {
    const at = this.#clock.now()
    return {
      topic: Topic.settled,
      eventId: `${id}:use-${use}:${outcome}`,
      at,
      data: { id, tenant, use, outcome, status, detail, gate, settledAt: at, version: null, historyHash: null },
    }
  }
}
