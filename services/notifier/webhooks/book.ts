import { CountersignError } from '../../../lib/core/errors.ts'
import { globFault } from '../../../lib/core/policy/glob.ts'
import { webhookKey } from '../../../lib/core/webhook-signature.ts'
import { webhookUrlFault } from '../../../lib/core/webhook-url.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import type { WebhookSender } from '../../../lib/ports/webhook-sender.ts'
import type { Webhook, WebhookStore } from '../../../lib/ports/webhook-store.ts'
import type { WebhookChange, WebhookView } from './schemas.ts'
import { webhookView } from './views.ts'

const MAX_WEBHOOKS = 100
/** Several rotations within one overlap: the oldest secrets give way. */
const MAX_SECRETS = 5
const DEFAULT_OVERLAP_MS = 24 * 3_600_000

export interface BookDeps {
  webhooks: WebhookStore
  deliveries: DeliveryStore
  /** The endpoints of the configuration. */
  listed: readonly Webhook[]
  sender: Pick<WebhookSender, 'refusal'>
  clock: Clock
  newId: () => string
  newSecret: () => string
  /** Something is to be sent, or to be sent otherwise. */
  wake: () => void
}

/** The webhook endpoints of each tenant, and what admins may do with them. */
export class WebhookBook {
  readonly #deps: BookDeps
  constructor(deps: BookDeps) {
    this.#deps = deps
  }

  /** Those of the configuration first, then those that the API made, oldest first. */
  async list(tenant: string): Promise<WebhookView[]> {
    const { webhooks, listed } = this.#deps
    const all = [...listed, ...(await webhooks.list())].filter((each) => each.tenant === tenant)
    return this.#views(all)
  }

  /** Rejects with `webhook_not_found`, also where it is another tenant's. */
  async find(tenant: string, id: string): Promise<Webhook> {
    const webhook = this.#listed(id) ?? (await this.#deps.webhooks.get(id))
    if (webhook?.tenant !== tenant) throw new CountersignError('webhook_not_found')
    return webhook
  }

  async show(tenant: string, id: string): Promise<WebhookView> {
    return this.#view(await this.find(tenant, id))
  }

  /** True while deliveries are made for it. */
  async isOpen({ id, enabled }: Webhook): Promise<boolean> {
    return enabled && !(await this.#health()).get(id)?.disabled
  }

  /** `caller` is the admin's name: links decide in no other than through the configuration. */
  async create(tenant: string, caller: string, settings: WebhookChange & { url: string; secret?: string }) {
    const { webhooks, clock, newId, newSecret, wake } = this.#deps
    const { secret = newSecret(), ...change } = settings
    this.#refuse(change)
    refuseSecret(secret)
    const others = (await webhooks.list()).filter((each) => each.tenant === tenant)
    if (others.length >= MAX_WEBHOOKS)
      throw new CountersignError('too_many_webhooks', `A tenant has at most ${MAX_WEBHOOKS}: delete one first.`)
    const now = clock.now()
    const blank: Webhook = {
      id: newId(),
      tenant,
      url: settings.url,
      description: '',
      filter: { events: [], tools: [], risks: [] },
      secrets: [{ secret, until: null }],
      callbackAs: null,
      enabled: true,
      createdAt: now,
      updatedAt: now,
      version: 1,
    }
    const webhook = changed(blank, change)
    refuseOthersVote(change, webhook, caller)
    if (!(await webhooks.insert(webhook))) throw new Error('a new webhook has an id that is taken')
    wake()
    return { ...(await this.#view(webhook)), secret }
  }

  async change(tenant: string, caller: string, id: string, change: WebhookChange): Promise<WebhookView> {
    this.#refuse(change)
    const next = await this.#save(tenant, id, (webhook) => {
      const next = changed(webhook, change)
      refuseOthersVote(change, next, caller)
      return next
    })
    return this.#view(next)
  }

  async rotate(tenant: string, id: string, rotation: { secret?: string; overlapMs?: number }) {
    const { clock, newSecret } = this.#deps
    const { secret = newSecret(), overlapMs = DEFAULT_OVERLAP_MS } = rotation
    refuseSecret(secret)
    const next = await this.#save(tenant, id, (webhook) => {
      const now = clock.now()
      const older = webhook.secrets
        .filter((each) => each.secret !== secret)
        .map(({ secret, until }) => ({ secret, until: Math.min(until ?? Number.POSITIVE_INFINITY, now + overlapMs) }))
        .filter(({ until }) => until > now)
      return { ...webhook, secrets: [{ secret, until: null }, ...older].slice(0, MAX_SECRETS) }
    })
    return { ...(await this.#view(next)), secret }
  }

  /** Ends what waits for it too. */
  async remove(tenant: string, id: string): Promise<void> {
    const { webhooks, deliveries, clock, wake } = this.#deps
    await this.#findMade(tenant, id)
    if (!(await webhooks.remove(id))) throw new CountersignError('webhook_not_found')
    await deliveries.stopEndpoint({ endpoint: id, at: clock.now() })
    wake()
  }

  /** Switched on, whoever or whatever switched it off. */
  async enable(tenant: string, id: string): Promise<WebhookView> {
    const { webhooks, wake } = this.#deps
    let webhook = await this.find(tenant, id)
    if (!webhook.enabled) webhook = await this.#save(tenant, id, (each) => ({ ...each, enabled: true }))
    await webhooks.enable(id)
    wake()
    return this.#view(webhook)
  }

  #listed(id: string): Webhook | undefined {
    return this.#deps.listed.find((each) => each.id === id)
  }

  /** Rejects with `webhook_read_only` where the configuration lists it. */
  async #findMade(tenant: string, id: string): Promise<Webhook> {
    const webhook = await this.find(tenant, id)
    if (this.#listed(id))
      throw new CountersignError('webhook_read_only', 'The configuration lists it: change it in countersign.yaml.')
    return webhook
  }

  async #save(tenant: string, id: string, change: (webhook: Webhook) => Webhook): Promise<Webhook> {
    const { webhooks, clock, wake } = this.#deps
    for (;;) {
      const webhook = await this.#findMade(tenant, id)
      const next = { ...change(webhook), updatedAt: clock.now(), version: webhook.version + 1 }
      if (!(await webhooks.replace(webhook.version, next))) continue
      wake()
      return next
    }
  }

  #refuse({ url, tools = [] }: WebhookChange): void {
    const errors: { path: string; message: string }[] = []
    const fault = url === undefined ? undefined : (webhookUrlFault(url) ?? this.#refusalOf(url))
    if (fault !== undefined) errors.push({ path: 'url', message: fault })
    for (const [at, glob] of tools.entries()) {
      const message = globFault(glob)
      if (message !== undefined) errors.push({ path: `tools.${at}`, message })
    }
    refuseAll(errors)
  }

  #refusalOf(url: string): string | undefined {
    const refusal = this.#deps.sender.refusal(url)
    return refusal && `cannot be used: ${refusal}`
  }

  async #view(webhook: Webhook): Promise<WebhookView> {
    const [view] = await this.#views([webhook])
    if (!view) throw new Error('one webhook has one view')
    return view
  }

  async #views(webhooks: readonly Webhook[]): Promise<WebhookView[]> {
    const healths = await this.#health()
    const now = this.#deps.clock.now()
    return webhooks.map((webhook) => {
      const source = this.#listed(webhook.id) ? 'config' : 'api'
      return webhookView(webhook, { source, health: healths.get(webhook.id), now })
    })
  }

  async #health() {
    return new Map((await this.#deps.webhooks.health()).map((health) => [health.endpoint, health]))
  }
}

function changed(webhook: Webhook, change: WebhookChange): Webhook {
  const { events, tools, risks } = { ...webhook.filter, ...change }
  const { url, description, callbackAs, enabled } = { ...webhook, ...change }
  return { ...webhook, url, description, callbackAs, enabled, filter: { events, tools, risks } }
}

/** Whoever holds a link votes as its approver: an admin makes links of their own vote, and sends nobody else's elsewhere. */
function refuseOthersVote(change: WebhookChange, { callbackAs }: Webhook, caller: string): void {
  if (callbackAs === null || callbackAs === caller) return
  if (change.callbackAs !== undefined)
    refuseAll([{ path: 'callbackAs', message: 'must be your own name: the configuration alone names others' }])
  if (change.url !== undefined)
    refuseAll([{ path: 'url', message: 'is of links that decide in the name of another: set callbackAs to null too' }])
}

function refuseSecret(secret: string): void {
  if (webhookKey(secret)) return
  refuseAll([{ path: 'secret', message: 'must be whsec_ and the base64 of 24 to 64 bytes' }])
}

function refuseAll(errors: { path: string; message: string }[]): void {
  if (errors.length === 0) return
  const detail = errors.map(({ path, message }) => `${path} ${message}.`).join(' ')
  throw new CountersignError('invalid_body', { detail, errors })
}
