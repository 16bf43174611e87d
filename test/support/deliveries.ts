import { randomUUID } from 'node:crypto'
import type { Delivery } from '../../lib/ports/delivery-store.ts'
import type { Webhook } from '../../lib/ports/webhook-store.ts'

export const CREATED_AT = Date.UTC(2026, 0, 5, 12)

/** A delivery that is due since it was made, about an approval of its own. */
export function aDelivery(more: Partial<Delivery> = {}): Delivery {
  const createdAt = more.createdAt ?? CREATED_AT
  return {
    id: `dlv_${randomUUID()}`,
    endpoint: 'ops',
    tenant: 'default',
    approvalId: `apr_${randomUUID()}`,
    eventId: randomUUID(),
    type: 'approval.requested',
    version: 1,
    body: '{"type":"approval.requested","data":{"summary":"Ünï «code» \\u0000"}}',
    status: 'waiting',
    attempts: 0,
    log: [],
    dueAt: createdAt,
    owner: null,
    receipt: null,
    createdAt,
    endedAt: null,
    ...more,
  }
}

/** What a worker saves after a 204. */
export const delivered = (delivery: Delivery, at = delivery.createdAt + 1): Delivery => ({
  ...withAttempt(delivery, at, 204),
  status: 'delivered',
  owner: null,
  endedAt: at,
})

/** What a worker saves after a 503: to be tried again. */
export const retried = (delivery: Delivery, dueAt: number, at = delivery.createdAt + 1): Delivery => ({
  ...withAttempt(delivery, at, 503),
  owner: null,
  dueAt,
})

/** What a worker saves when it gives up. */
export const dead = (delivery: Delivery, at = delivery.createdAt + 1): Delivery => ({
  ...withAttempt(delivery, at, 503),
  status: 'dead',
  owner: null,
  endedAt: at,
})

function withAttempt(delivery: Delivery, at: number, status: number): Delivery {
  const outcome = status < 300 ? 'delivered' : 'failed'
  return { ...delivery, log: [...delivery.log, { at, durationMs: 12, outcome, status, detail: null }] }
}

export const aWebhook = (more: Partial<Webhook> = {}): Webhook => ({
  id: `whk_${randomUUID()}`,
  tenant: 'default',
  url: 'https://example.com/hook?a=1',
  description: 'for «ops»',
  filter: { events: ['approval.requested'], tools: ['stripe.*'], risks: ['high'] },
  secrets: [{ secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', until: null }],
  callbackAs: null,
  enabled: true,
  createdAt: CREATED_AT,
  updatedAt: CREATED_AT,
  version: 1,
  ...more,
})
