import type { Channel } from '../../../lib/ports/channel.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import type { WebhookSender } from '../../../lib/ports/webhook-sender.ts'
import type { Webhook, WebhookStore } from '../../../lib/ports/webhook-store.ts'
import type { CallbackLinks } from '../callbacks/links.ts'
import type { AgentCallbacks } from './agent-callbacks.ts'
import { channelEndpoint } from './channel-endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { webhookEndpoint } from './webhook-endpoint.ts'

/** What was changed by the API, in this process or another, counts after this at the latest. */
const FRESH_MS = 1_000
/** One that was never tried is new: it hears of nothing older, however much the log still holds. */
const NEW_SINCE_MS = 3_600_000

export interface KnownEndpoints {
  /** Those that hear of events. */
  all: readonly Endpoint[]
  get(id: string): Endpoint | undefined
}

/** Every endpoint there is, as the configuration and the store know them. */
export class Endpoints {
  readonly #channels: readonly Channel[]
  readonly #listed: readonly Webhook[]
  readonly #webhooks: WebhookStore
  readonly #store: DeliveryStore
  readonly #sender: WebhookSender
  readonly #links: CallbackLinks
  readonly #callbacks: AgentCallbacks | undefined
  readonly #clock: Clock
  #known: KnownEndpoints = { all: [], get: () => undefined }
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<KnownEndpoints> | undefined
  /** How often something was changed: what was read before the latest change is not kept. */
  #changes = 0

  constructor(deps: {
    channels: readonly Channel[]
    /** The webhook endpoints of the configuration. */
    listed: readonly Webhook[]
    webhooks: WebhookStore
    store: DeliveryStore
    sender: WebhookSender
    links: CallbackLinks
    callbacks: AgentCallbacks | undefined
    clock: Clock
  }) {
    this.#channels = deps.channels
    this.#listed = deps.listed
    this.#webhooks = deps.webhooks
    this.#store = deps.store
    this.#sender = deps.sender
    this.#links = deps.links
    this.#callbacks = deps.callbacks
    this.#clock = deps.clock
  }

  /** Rejects with `decider_unavailable` when the store is away. */
  current(): Promise<KnownEndpoints> {
    if (this.#clock.now() - this.#readAt < FRESH_MS) return Promise.resolve(this.#known)
    if (this.#reading) return this.#reading
    const reading = this.#read().finally(() => {
      if (this.#reading === reading) this.#reading = undefined
    })
    this.#reading = reading
    return reading
  }

  /** The next look reads anew. */
  forget(): void {
    this.#readAt = Number.NEGATIVE_INFINITY
    this.#reading = undefined
    this.#changes += 1
  }

  async #read(): Promise<KnownEndpoints> {
    const now = this.#clock.now()
    const changes = this.#changes
    const [stored, healths] = await Promise.all([this.#webhooks.list(), this.#webhooks.health()])
    const healthOf = new Map(healths.map((health) => [health.endpoint, health]))
    const sinceOf = (id: string) => (healthOf.has(id) ? 0 : now - NEW_SINCE_MS)
    const store = this.#store
    const shared = { sender: this.#sender, links: this.#links, clock: this.#clock }
    const webhook = (each: Webhook, since: number) =>
      webhookEndpoint({ ...shared, webhook: each, health: healthOf.get(each.id), since })
    const all = [
      ...this.#channels.map((channel) => channelEndpoint({ channel, store, since: sinceOf(channel.id) })),
      ...this.#listed.map((each) => webhook(each, sinceOf(each.id))),
      ...stored.map((each) => webhook(each, each.createdAt)),
    ]
    const byId = new Map(all.map((endpoint) => [endpoint.id, endpoint]))
    const known = { all, get: (id: string) => byId.get(id) ?? this.#callbacks?.find(id) }
    if (changes === this.#changes) {
      this.#known = known
      this.#readAt = now
    }
    return known
  }
}
