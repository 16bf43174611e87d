import { isAsking } from '../../../lib/core/delivery-ladder.ts'
import type { Notification } from '../../../lib/core/notification.ts'
import { webhookBody } from '../../../lib/core/webhook-body.ts'
import { compileFilter } from '../../../lib/core/webhook-filter.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { WebhookSender } from '../../../lib/ports/webhook-sender.ts'
import type { EndpointHealth, Webhook } from '../../../lib/ports/webhook-store.ts'
import type { CallbackLinks } from '../callbacks/links.ts'
import { isNamed } from './channel-endpoint.ts'
import type { Endpoint } from './endpoint.ts'

/** A webhook endpoint, made by the API or listed in the configuration. */
export function webhookEndpoint(deps: {
  webhook: Webhook
  health: EndpointHealth | undefined
  since: number
  sender: WebhookSender
  links: CallbackLinks
  clock: Clock
}): Endpoint {
  const { webhook, health, since, sender, links, clock } = deps
  const { id, tenant, url, filter, enabled, callbackAs } = webhook
  const fits = compileFilter(filter)
  return {
    id,
    tenant,
    label: id,
    since,
    isOpen: enabled && !health?.disabled,
    canBeDisabled: true,
    hearsOfEndpoints: filter.events.length === 0,
    callbackAs,
    wants: (notification) =>
      notification.approval.tenant === tenant && (isNamed(id, notification) || fits(notification)),
    bodyOf,
    attempt({ type, eventId, approvalId, body: made }, signal) {
      const at = clock.now()
      const withLinks = callbackAs !== null && approvalId !== null && isAsking(type)
      // Links are secrets: they are made anew each time, and not stored.
      const body = withLinks
        ? bodyWith(made, (expiresAt) =>
            links.urls({ approvalId, endpoint: id, tenant, approver: callbackAs, url, expiresAt }),
          )
        : made
      const secrets = webhook.secrets.filter(({ until }) => until === null || until > at).map(({ secret }) => secret)
      return sender.send({ url, id: eventId, at, body, secrets }, signal)
    },
  }
}

function bodyWith(body: string, linksUntil: (expiresAt: number) => object): string {
  const content = JSON.parse(body) as { data: { expiresAt: string } }
  return JSON.stringify({ ...content, callbacks: linksUntil(Date.parse(content.data.expiresAt)) })
}

const bodies = new WeakMap<Notification, string>()

/** One notification goes to many endpoints. */
function bodyOf(notification: Notification): string {
  const body = bodies.get(notification) ?? webhookBody(notification)
  bodies.set(notification, body)
  return body
}
