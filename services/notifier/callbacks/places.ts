import type { CallbackPlace } from '../../../lib/core/callback-token.ts'
import type { Webhook, WebhookStore } from '../../../lib/ports/webhook-store.ts'

/** The endpoints whose links count, as they are now: read each time, because a link is a credential. */
export class CallbackPlaces {
  readonly #listed: readonly Webhook[]
  readonly #webhooks: Pick<WebhookStore, 'get' | 'health'>

  constructor(deps: { listed: readonly Webhook[]; webhooks: Pick<WebhookStore, 'get' | 'health'> }) {
    this.#listed = deps.listed
    this.#webhooks = deps.webhooks
  }

  /** Undefined when there is no such endpoint, or none of its links may decide. */
  async find(id: string): Promise<CallbackPlace | undefined> {
    const webhook = this.#listed.find((each) => each.id === id) ?? (await this.#webhooks.get(id))
    if (!webhook?.enabled || webhook.callbackAs === null) return undefined
    const { tenant, callbackAs: approver, url } = webhook
    return { tenant, approver, url }
  }

  /** True where failing has disabled it. */
  async isDisabled(id: string): Promise<boolean> {
    const healths = await this.#webhooks.health()
    return healths.some(({ endpoint, disabled }) => endpoint === id && disabled !== null)
  }
}
