import { RecentMap } from '../../../lib/core/recent-map.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { WebhookStore } from '../../../lib/ports/webhook-store.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'

/** An endpoint that did not succeed once in this time is disabled. */
const FAILING_MS = 5 * 24 * 3_600_000
/** What says the same as before is noted this often, so that a busy endpoint does not write with every attempt. */
const NOTE_EVERY_MS = 10_000
const REMEMBERED = 10_000

export interface DisabledEndpoint {
  endpoint: string
  tenant: string
  at: number
  reason: 'gone' | 'failing'
}

/** Notes how endpoints do, and disables those that are gone or fail for days. */
export class Health {
  readonly #webhooks: WebhookStore
  readonly #clock: Clock
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #onDisabled: (disabled: DisabledEndpoint) => Promise<void>
  readonly #noted = new RecentMap<string, { at: number; succeeded: boolean }>(REMEMBERED)

  constructor(deps: {
    webhooks: WebhookStore
    clock: Clock
    log: Logger
    metrics: Metrics
    /** Called by the one worker whose note disabled it. */
    onDisabled: (disabled: DisabledEndpoint) => Promise<void>
  }) {
    this.#webhooks = deps.webhooks
    this.#clock = deps.clock
    this.#log = deps.log
    this.#metrics = deps.metrics
    this.#onDisabled = deps.onDisabled
  }

  async attempted(attempt: {
    endpoint: string
    tenant: string
    outcome: 'delivered' | 'failed' | 'rejected' | 'gone'
    canBeDisabled: boolean
  }): Promise<void> {
    const { endpoint, tenant, outcome, canBeDisabled } = attempt
    const at = this.#clock.now()
    // What the receiver refuses for its content says that it is there.
    const succeeded = outcome === 'delivered' || outcome === 'rejected'
    const last = this.#noted.get(endpoint)
    const isNews = !last || last.succeeded !== succeeded || at - last.at >= NOTE_EVERY_MS
    if (!isNews && outcome !== 'gone') return
    this.#noted.set(endpoint, { at, succeeded })
    const { failingSince } = await this.#webhooks.noted({ endpoint, tenant, at, succeeded })
    if (!canBeDisabled) return
    if (outcome === 'gone') await this.#disable({ endpoint, tenant, at, reason: 'gone' })
    else if (failingSince !== null && at - failingSince >= FAILING_MS)
      await this.#disable({ endpoint, tenant, at, reason: 'failing' })
  }

  async #disable(disabled: DisabledEndpoint): Promise<void> {
    if (!(await this.#webhooks.disable(disabled))) return
    const { endpoint, tenant, reason } = disabled
    this.#metrics.webhooksDisabled.inc({ endpoint, reason })
    this.#log.warn({ endpoint, tenant, reason }, 'a webhook endpoint was disabled')
    await this.#onDisabled(disabled)
  }
}
