import type { Notification } from '../../../lib/core/notification.ts'
import type { Channel } from '../../../lib/ports/channel.ts'
import type { DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import type { Endpoint } from './endpoint.ts'

/** A channel as an endpoint of deliveries. What is delivered is the notification, and receipts are kept for it. */
export function channelEndpoint(deps: { channel: Channel; store: DeliveryStore; since: number }): Endpoint {
  const { channel, store, since } = deps
  return {
    id: channel.id,
    tenant: channel.tenant,
    label: channel.id,
    since,
    isOpen: true,
    canBeDisabled: false,
    hearsOfEndpoints: false,
    callbackAs: null,
    wants: (notification) =>
      notification.approval.tenant === channel.tenant &&
      (isNamed(channel.id, notification) || channel.wants(notification)),
    bodyOf: (notification) => JSON.stringify(notification),
    async attempt(delivery, signal) {
      const notification = JSON.parse(delivery.body) as Notification
      const receipt = await store.receipt(channel.id, notification.approval.id)
      return channel.deliver(notification, { attempt: delivery.attempts, receipt, signal })
    },
  }
}

/**
 * Whether an escalation step names this endpoint: then it is told of the step and of the outcome, whatever it wants
 * otherwise.
 */
export const isNamed = (id: string, { type, approval, escalation }: Notification): boolean =>
  escalation?.channels.includes(id) === true ||
  (type === 'approval.decided' && approval.escalated?.some(({ channels }) => channels.includes(id)) === true)
