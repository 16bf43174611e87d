import { type Static, Type } from 'typebox'
import { closed, Name } from './fields.ts'

/** `webhooks` of countersign.yaml: endpoints that the configuration lists. */
export const WebhooksFile = Type.Array(
  Type.Object({ id: Name, url: Type.String({ pattern: '^https?://' }), secret: Type.String() }, closed),
)

export interface ListedWebhook {
  id: string
  url: string
  secret: string
}

export const readWebhooks = (file: Static<typeof WebhooksFile> = [], _problems: string[]): ListedWebhook[] => file
