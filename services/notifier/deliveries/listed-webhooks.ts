import type { Webhook } from '../../../lib/ports/webhook-store.ts'
import type { ListedWebhook } from '../../../lib/runtime/config/webhooks.ts'

/** The endpoints of the configuration, as those of the store are. */
export const listedWebhooks = (listed: readonly ListedWebhook[]): Webhook[] =>
  listed.map(({ secret, ...endpoint }) => ({
    ...endpoint,
    secrets: [{ secret, until: null }],
    createdAt: 0,
    updatedAt: 0,
    version: 0,
  }))
