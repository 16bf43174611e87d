import { shownUrl } from '../../../lib/core/webhook-url.ts'
import type { Delivery } from '../../../lib/ports/delivery-store.ts'
import type { EndpointHealth, Webhook } from '../../../lib/ports/webhook-store.ts'
import type { DeliveryView, WebhookView } from './schemas.ts'

/** What came of an endpoint, without its secrets. */
export function webhookView(
  webhook: Webhook,
  { source, health, now }: { source: WebhookView['source']; health: EndpointHealth | undefined; now: number },
): WebhookView {
  const { id, tenant, url, description, filter, callbackAs, enabled, secrets, createdAt, updatedAt } = webhook
  const older = secrets.flatMap(({ until }) => (until !== null && until > now ? [until] : []))
  const { failingSince = null, disabled = null, lastAttemptAt = null, lastSuccessAt = null } = health ?? {}
  return {
    id,
    tenant,
    source,
    url: shownUrl(url),
    description,
    ...filter,
    callbackAs,
    enabled,
    health: {
      ...(failingSince === null ? {} : { failingSince: instant(failingSince) }),
      ...(disabled === null ? {} : { disabled: { at: instant(disabled.at), reason: disabled.reason } }),
      ...(lastAttemptAt === null ? {} : { lastAttemptAt: instant(lastAttemptAt) }),
      ...(lastSuccessAt === null ? {} : { lastSuccessAt: instant(lastSuccessAt) }),
    },
    ...(older.length === 0 ? {} : { rotatingUntil: instant(Math.max(...older)) }),
    ...(source === 'config' ? {} : { createdAt: instant(createdAt), updatedAt: instant(updatedAt) }),
  }
}

export const deliveryView = (delivery: Delivery): DeliveryView => ({
  id: delivery.id,
  webhookId: delivery.endpoint,
  ...(delivery.approvalId === null ? {} : { approvalId: delivery.approvalId }),
  eventId: delivery.eventId,
  type: delivery.type,
  status: delivery.status,
  attempts: delivery.attempts,
  createdAt: instant(delivery.createdAt),
  ...(delivery.status === 'waiting' ? { nextAttemptAt: instant(delivery.dueAt) } : {}),
  ...(delivery.endedAt === null ? {} : { endedAt: instant(delivery.endedAt) }),
  log: delivery.log.map(({ at, durationMs, outcome, status, detail }) => ({
    at: instant(at),
    durationMs,
    outcome,
    ...(status === null ? {} : { status }),
    ...(detail === null ? {} : { detail }),
  })),
})

const instant = (at: number): string => new Date(at).toISOString()
