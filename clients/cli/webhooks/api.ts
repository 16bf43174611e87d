import { CountersignClientError } from '../../sdk/client-error.ts'
import { type ConnectionOptions, connectPlainly } from '../connection.ts'
import type { Deps } from '../deps.ts'

/** An endpoint as `/v1/webhooks` shows it. */
export interface WebhookView {
  id: string
  tenant: string
  source: 'api' | 'config'
  url: string
  description: string
  events: string[]
  tools: string[]
  risks: string[]
  callbackAs: string | null
  enabled: boolean
  health: {
    failingSince?: string
    disabled?: { at: string; reason: string }
    lastAttemptAt?: string
    lastSuccessAt?: string
  }
  rotatingUntil?: string
  createdAt?: string
  updatedAt?: string
}

export interface DeliveryView {
  id: string
  webhookId: string
  approvalId?: string
  eventId: string
  type: string
  status: 'waiting' | 'delivered' | 'stopped' | 'dead'
  attempts: number
  createdAt: string
  nextAttemptAt?: string
  endedAt?: string
  log: { at: string; durationMs: number; outcome: string; status?: number; detail?: string }[]
}

export type WebhookSettings = Partial<
  Pick<WebhookView, 'url' | 'description' | 'events' | 'tools' | 'risks' | 'callbackAs' | 'enabled'>
>

const PAGE = 200

/** `/v1/webhooks` of the server that the options name. Every call rejects with CountersignClientError. */
export async function webhooksApi(options: ConnectionOptions, deps: Deps) {
  const { call } = await connectPlainly(options, deps)
  const path = (id: string) => `/v1/webhooks/${encodeURIComponent(id)}`

  async function send<T>(method: string, to: string, field: keyof T & string, body?: unknown): Promise<T> {
    const answer = await call(method, to, body === undefined ? {} : { body: JSON.stringify(body) })
    if (typeof answer === 'object' && answer !== null && field in answer) return answer as T
    throw new CountersignClientError('invalid_response', 'The server answered something that is no webhook')
  }

  return {
    list: async () => (await send<{ items: WebhookView[] }>('GET', '/v1/webhooks', 'items')).items,
    show: (id: string) => send<WebhookView>('GET', path(id), 'id'),
    create: (settings: WebhookSettings) =>
      send<WebhookView & { secret: string }>('POST', '/v1/webhooks', 'secret', settings),
    update: (id: string, settings: WebhookSettings) => send<WebhookView>('PATCH', path(id), 'id', settings),
    remove: (id: string) => call('DELETE', path(id)),
    rotate: (id: string, overlapMs: number) =>
      send<WebhookView & { secret: string }>('POST', `${path(id)}/rotate`, 'secret', { overlapMs }),
    enable: (id: string) => send<WebhookView>('POST', `${path(id)}/enable`, 'id'),
    test: (id: string) => send<DeliveryView>('POST', `${path(id)}/test`, 'id'),
    replay: (id: string, deliveryId: string) =>
      send<DeliveryView>('POST', `${path(id)}/deliveries/${encodeURIComponent(deliveryId)}/replay`, 'id'),
    replayDead: (id: string, since: string) =>
      send<{ replayed: number }>('POST', `${path(id)}/replay`, 'replayed', { since }),
    /** Newest first. */
    async deliveries(id: string, { status, limit }: { status?: string; limit: number }): Promise<DeliveryView[]> {
      const items: DeliveryView[] = []
      let after: string | undefined
      do {
        const query = new URLSearchParams({ limit: String(Math.min(PAGE, limit - items.length)) })
        if (status !== undefined) query.set('status', status)
        if (after !== undefined) query.set('after', after)
        const to = `${path(id)}/deliveries?${query}`
        const page = await send<{ items: DeliveryView[]; next?: string }>('GET', to, 'items')
        items.push(...page.items)
        after = page.next
      } while (after !== undefined && items.length < limit)
      return items
    },
  }
}

export type WebhooksApi = Awaited<ReturnType<typeof webhooksApi>>
