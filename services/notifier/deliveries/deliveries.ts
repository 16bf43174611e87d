import type { FastifyPluginAsync } from 'fastify'
import type { Bus, Subscription } from '../../../lib/ports/bus.ts'
import type { Channel } from '../../../lib/ports/channel.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import type { WebhookSender } from '../../../lib/ports/webhook-sender.ts'
import type { Webhook, WebhookStore } from '../../../lib/ports/webhook-store.ts'
import type { CallbackConfig } from '../../../lib/runtime/config/callbacks.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import type { Pace } from '../../../lib/runtime/pace.ts'
import { CallbackLinks } from '../callbacks/links.ts'
import { CallbackPlaces } from '../callbacks/places.ts'
import { callbackRoutes } from '../callbacks/routes.ts'
import { RecordViews } from '../record-views.ts'
import { AgentCallbacks } from './agent-callbacks.ts'
import { Endpoints } from './endpoints.ts'
import { consumeEvents } from './fan-out.ts'
import { type DisabledEndpoint, Health } from './health.ts'
import { newDelivery } from './new-delivery.ts'
import { Worker } from './worker.ts'

const TIDY_EVERY_MS = 3_600_000
/** Of what was disabled so long ago before the start, others are told then, if they were not. */
const RETOLD_MS = 3_600_000

/** What the notifier sends out: every event to whoever wants it, durably, until it has arrived or is given up. */
export class Deliveries {
  readonly #deps: DeliveriesDeps
  readonly #links: CallbackLinks
  readonly #callbacks: AgentCallbacks | undefined
  readonly #endpoints: Endpoints
  readonly #worker: Worker
  #subscription: Subscription | undefined
  #isListening = false
  #cancelTidy = () => {}
  /** Endpoints that had something due at the last tidying, and that nobody knew. */
  #strangers = new Set<string>()

  constructor(deps: DeliveriesDeps) {
    this.#deps = deps
    this.#links = new CallbackLinks({ key: deps.callbackKey, baseUrl: deps.publicUrl })
    this.#callbacks = deps.callbacks && new AgentCallbacks({ ...deps, config: deps.callbacks })
    this.#endpoints = new Endpoints({ ...deps, links: this.#links, callbacks: this.#callbacks })
    const { webhooks, clock, log, metrics } = deps
    const onDisabled = (disabled: DisabledEndpoint) => this.#tellOfDisabled(disabled)
    const health = new Health({ webhooks, clock, log, metrics, onDisabled })
    this.#worker = new Worker({ ...deps, endpoints: this.#endpoints, health })
  }

  /** Links that decide. */
  get routes(): FastifyPluginAsync {
    const { listed, webhooks, decider, identity, clock } = this.#deps
    const places = new CallbackPlaces({ listed, webhooks })
    return async (app) => {
      await app.register(callbackRoutes, { links: this.#links, places, decider, identity, clock })
    }
  }

  /** Begins to make deliveries. */
  async start(): Promise<void> {
    const { bus, decider, store, clock, log, pace } = this.#deps
    this.#subscription = await consumeEvents({
      bus,
      views: new RecordViews({ decider, votesRequired: true }),
      endpoints: this.#endpoints,
      callbacks: this.#callbacks,
      store,
      clock,
      log,
      pace,
      onMade: () => {
        if (this.#isListening) this.#worker.wake()
      },
    })
    this.#cancelTidy = clock.after(TIDY_EVERY_MS, () => this.#tidy())
    await this.#tellOfDisabledBefore().catch((error: unknown) =>
      log.warn({ err: error }, 'nobody was told again of endpoints that were disabled'),
    )
  }

  /** The service can be reached: what is made is sent from now on. */
  listening(url: string): void {
    this.#links.listening(url)
    this.#isListening = true
    this.#worker.wake()
  }

  async close(): Promise<void> {
    this.#cancelTidy()
    await this.#subscription?.close()
    await this.#worker.close()
  }

  /** An endpoint was made, changed or enabled, or something is to be sent again: it counts now. */
  changed(): void {
    this.#endpoints.forget()
    this.#worker.wake()
  }

  /** Whoever disabled an endpoint may have died before it told of it. */
  async #tellOfDisabledBefore(): Promise<void> {
    const { webhooks, clock } = this.#deps
    const since = clock.now() - RETOLD_MS
    for (const { endpoint, tenant, disabled } of await webhooks.health())
      if (disabled && disabled.at >= since) await this.#tellOfDisabled({ endpoint, tenant, ...disabled })
  }

  /** The tenant's other endpoints hear of it, if they hear of everything; once, however often they are told. */
  async #tellOfDisabled({ endpoint: id, tenant, at, reason }: DisabledEndpoint): Promise<void> {
    this.#endpoints.forget()
    const { store } = this.#deps
    const eventId = `webhook.disabled:${id}:${at}`
    const timestamp = new Date(at).toISOString()
    const body = JSON.stringify({ type: 'webhook.disabled', timestamp, data: { id, tenant, reason } })
    const others = (await this.#endpoints.current()).all.filter(
      (each) => each.id !== id && each.tenant === tenant && each.isOpen && each.hearsOfEndpoints && each.since <= at,
    )
    if (others.length === 0) return
    await store.insert(
      others.map(({ id: endpoint }) =>
        newDelivery({ endpoint, tenant, approvalId: null, eventId, type: 'webhook.disabled', version: 0, body }, at),
      ),
    )
    if (this.#isListening) this.#worker.wake()
  }

  /** Deletes what ended long ago, and ends what waits for an endpoint that has been unknown for an hour. */
  #tidy(): void {
    const { store, clock, log, retentionMs } = this.#deps
    const work = async () => {
      const now = clock.now()
      await store.prune(now - retentionMs)
      const known = await this.#endpoints.current()
      const strangers = (await store.due(now)).endpoints.filter((id) => !known.get(id))
      for (const endpoint of strangers)
        if (this.#strangers.has(endpoint)) {
          const count = await store.stopEndpoint({ endpoint, at: now })
          log.warn({ endpoint, count }, 'deliveries were ended whose endpoint is configured no more')
        }
      this.#strangers = new Set(strangers)
    }
    work().catch((error: unknown) => log.warn({ err: error }, 'old deliveries were not deleted'))
    this.#cancelTidy = clock.after(TIDY_EVERY_MS, () => this.#tidy())
  }
}

export interface DeliveriesDeps {
  bus: Bus
  decider: Decider
  identity: Identity
  store: DeliveryStore
  webhooks: WebhookStore
  /** The webhook endpoints of the configuration. */
  listed: readonly Webhook[]
  channels: readonly Channel[]
  /** Where agents may be told of outcomes; undefined: nowhere. */
  callbacks: CallbackConfig | undefined
  /** Signs links that decide; the same on every notifier. */
  callbackKey: Buffer
  /** How others reach this service; undefined: as it listens. */
  publicUrl: string | undefined
  sender: WebhookSender
  clock: Clock
  log: Logger
  metrics: Metrics
  pace: Pace
  /** From 0 to below 1. */
  random: () => number
  /** Names the worker; unlike any other's, also in a former life of this process. */
  owner: string
  /** How long ended deliveries are kept, in milliseconds. */
  retentionMs: number
}
