import { CountersignError } from '../../../lib/core/errors.ts'
import type { EventOf } from '../../../lib/core/events.ts'
import type { Notification } from '../../../lib/core/notification.ts'
import { RecentMap } from '../../../lib/core/recent-map.ts'
import { webhookBody } from '../../../lib/core/webhook-body.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { WebhookSender } from '../../../lib/ports/webhook-sender.ts'
import { type CallbackConfig, callbackFault } from '../../../lib/runtime/config/callbacks.ts'
import type { Endpoint } from './endpoint.ts'

const PREFIX = 'callback:'
const REMEMBERED = 20_000

/** Whether an endpoint is one that agents named: nobody configured it, and there may be any number. */
export const isAgentCallback = (endpoint: string): boolean => endpoint.startsWith(PREFIX)

/** What is stored of one: unlike an endpoint's, its URL is of one approval. */
interface Callback {
  url: string
  body: string
}

/**
 * Tells those who asked and do not wait (`context.callback`) of the decision. All callbacks to one host are one endpoint,
 * so that they share its place among the others.
 */
export class AgentCallbacks {
  readonly #decider: Pick<Decider, 'lookup'>
  readonly #sender: WebhookSender
  readonly #clock: Clock
  readonly #secret: string
  readonly #fault: (url: string) => string | undefined
  readonly #urls = new RecentMap<string, string | null>(REMEMBERED)

  constructor(deps: { config: CallbackConfig; decider: Pick<Decider, 'lookup'>; sender: WebhookSender; clock: Clock }) {
    this.#decider = deps.decider
    this.#sender = deps.sender
    this.#clock = deps.clock
    this.#secret = deps.config.secret
    this.#fault = callbackFault(deps.config.hosts)
  }

  /** Spares a look at the record when the decision comes, where nobody can have named another since. */
  requested({ data }: EventOf<'approval.requested'>): void {
    // Gates that get the same Idempotency-Key ask under one id, each in its own words.
    this.#urls.set(data.id, this.#urls.get(data.id) ?? data.callback)
  }

  /** Where and what the one who asked is to be told; undefined when they want nothing. */
  async of({ type, approval, ...more }: Notification): Promise<{ endpoint: Endpoint; body: string } | undefined> {
    if (type !== 'approval.decided') return undefined
    const url = await this.#urlOf(approval)
    this.#urls.delete(approval.id)
    // The hosts may be others than when the gate took it.
    if (url === null || this.#fault(url) !== undefined) return undefined
    const body = webhookBody({ type, approval, ...more })
    return {
      endpoint: this.#endpoint(PREFIX + new URL(url).host),
      body: JSON.stringify({ url, body } satisfies Callback),
    }
  }

  /** A call that joined later may have named one: that made a write, so the record was not decided by its first. */
  async #urlOf({ tenant, id, version }: Notification['approval']): Promise<string | null> {
    const asked = this.#urls.get(id)
    if (asked || (asked === null && version <= 2)) return asked
    try {
      return (await this.#decider.lookup(tenant, id)).callback ?? null
    } catch (error) {
      // With its record the callback is gone; others are told all the same.
      if (error instanceof CountersignError && error.code === 'approval_not_found') return null
      throw error
    }
  }

  /** The endpoint behind an id; undefined when it is of another kind. */
  find(id: string): Endpoint | undefined {
    return isAgentCallback(id) ? this.#endpoint(id) : undefined
  }

  #endpoint(id: string): Endpoint {
    return {
      id,
      tenant: '*',
      label: 'callback',
      since: 0,
      isOpen: true,
      canBeDisabled: false,
      hearsOfEndpoints: false,
      callbackAs: null,
      wants: () => false,
      bodyOf: webhookBody,
      attempt: async (delivery, signal) => {
        const { url, body } = JSON.parse(delivery.body) as Callback
        const fault = this.#fault(url)
        if (fault !== undefined) return { type: 'rejected', detail: `its URL ${fault}` }
        const at = this.#clock.now()
        return this.#sender.send({ url, id: delivery.eventId, at, body, secrets: [this.#secret] }, signal)
      },
    }
  }
}
