import type { Approval } from '../../lib/core/approval.ts'
import type { ApprovalStore } from '../../lib/ports/approval-store.ts'
import type { Bus } from '../../lib/ports/bus.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Logger } from '../../lib/runtime/logger.ts'

const SCAN_EVERY_MS = 1_000
const SCAN_LIMIT = 500
const REMEMBERED_EVENTS = 10_000
/** A record that is written again meanwhile owes them no more by that: most are, and need no write of their own. */
const CLEAR_AFTER_MS = 100

/**
 * Publishes what records owe the bus: right after the write, and by a scan what a crash or an outage left behind.
 * An event may go out twice, never not at all; consumers know it by its id.
 */
export class Relay {
  readonly #store: ApprovalStore
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #log: Logger
  readonly #underWay = new Set<Promise<void>>()
  /** A record that is written while its events are on their way, or before they are cleared, brings them once more. */
  readonly #sending = new Set<string>()
  readonly #sent = new Set<string>()
  /** Events that are on the bus and still in their record, by record. */
  readonly #uncleared = new Map<string, string[]>()
  #cancelClearing: (() => void) | undefined
  #cancelScan: () => void = () => {}
  #scanning: Promise<void> = Promise.resolve()
  #closed = false

  constructor(deps: { store: ApprovalStore; bus: Bus; clock: Clock; log: Logger }) {
    this.#store = deps.store
    this.#bus = deps.bus
    this.#clock = deps.clock
    this.#log = deps.log
  }

  start(): void {
    this.#scanning = this.#scan()
  }

  /** Stops the scan and waits for what is under way. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelScan()
    await this.#scanning
    await Promise.allSettled(this.#underWay)
    await this.#clear()
  }

  /** True for an event that is on the bus; false also where that was too long ago to be remembered. */
  isSent(eventId: string): boolean {
    return this.#sent.has(eventId)
  }

  /** Publishes a record's outbox; a failure is left to the scan. */
  push(approval: Approval): void {
    this.#uncleared.delete(approval.id)
    if (approval.outbox.length === 0) return
    const pushed = this.#publish(approval)
      .catch((error: unknown) => this.#log.warn({ err: error, approvalId: approval.id }, 'events wait for the bus'))
      .finally(() => this.#underWay.delete(pushed))
    this.#underWay.add(pushed)
  }

  async #publish({ id, outbox }: Approval): Promise<void> {
    const unsent = outbox.filter(({ eventId }) => !this.#sent.has(eventId) && !this.#sending.has(eventId))
    for (const { eventId } of unsent) this.#sending.add(eventId)
    try {
      await this.#bus.publish(unsent)
      for (const { eventId } of unsent) this.#remember(eventId)
    } finally {
      for (const { eventId } of unsent) this.#sending.delete(eventId)
    }
    const sent = outbox.map(({ eventId }) => eventId).filter((eventId) => this.#sent.has(eventId))
    if (sent.length === 0) return
    this.#uncleared.set(id, sent)
    this.#cancelClearing ??= this.#clock.after(CLEAR_AFTER_MS, () => void this.#clear())
  }

  /** Takes what was published out of its records; a failure is left to the scan. */
  async #clear(): Promise<void> {
    this.#cancelClearing?.()
    this.#cancelClearing = undefined
    const uncleared = [...this.#uncleared]
    this.#uncleared.clear()
    try {
      await Promise.all(uncleared.map(([id, eventIds]) => this.#store.clearOutbox(id, eventIds)))
    } catch (error) {
      this.#log.warn({ err: error }, 'published events could not be taken out of their records')
    }
  }

  #remember(eventId: string): void {
    this.#sent.add(eventId)
    if (this.#sent.size <= REMEMBERED_EVENTS) return
    const [oldest] = this.#sent
    if (oldest !== undefined) this.#sent.delete(oldest)
  }

  async #scan(): Promise<void> {
    try {
      for (const approval of await this.#store.findOutbox(SCAN_LIMIT)) this.push(approval)
      await Promise.all(this.#underWay)
    } catch (error) {
      this.#log.warn({ err: error }, 'the outbox scan failed')
    }
    if (this.#closed) return
    this.#cancelScan = this.#clock.after(SCAN_EVERY_MS, () => {
      this.#scanning = this.#scan()
    })
  }
}
