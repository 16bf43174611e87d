import { type Static, Type } from 'typebox'
import { RISKS } from '../../core/events.ts'
import { NOTIFICATION_TYPES } from '../../core/notification.ts'
import { globFault } from '../../core/policy/glob.ts'
import { webhookKey } from '../../core/webhook-signature.ts'
import { webhookUrlFault } from '../../core/webhook-url.ts'
import type { WebhookFilter } from '../../ports/webhook-store.ts'
import { closed, Name } from './fields.ts'

/** `webhooks` of countersign.yaml: endpoints that the configuration lists. */
export const WebhooksFile = Type.Array(
  Type.Object(
    {
      id: Name,
      url: Type.String(),
      secret: Type.String(),
      description: Type.Optional(Type.String({ maxLength: 200 })),
      events: Type.Optional(Type.Array(Type.Enum([...NOTIFICATION_TYPES]), { minItems: 1 })),
      tools: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 100 })),
      risks: Type.Optional(Type.Array(Type.Enum([...RISKS]), { minItems: 1 })),
      tenant: Type.Optional(Name),
      callbackAs: Type.Optional(Name),
      enabled: Type.Optional(Type.Boolean()),
    },
    closed,
  ),
  { maxItems: 1_000 },
)

export interface ListedWebhook {
  id: string
  tenant: string
  url: string
  /** `whsec_…`. */
  secret: string
  description: string
  filter: WebhookFilter
  callbackAs: string | null
  enabled: boolean
}

/** Ids of endpoints that the API makes begin so: no configured one can clash with them. */
export const MADE_ID_PREFIX = 'whk_'

export function readWebhooks(file: Static<typeof WebhooksFile> = [], problems: string[]): ListedWebhook[] {
  if (new Set(file.map(({ id }) => id)).size < file.length) problems.push('webhooks must not use an id twice')
  return file.map((entry, index) => {
    const { id, url, secret, events = [], tools = [], risks = [] } = entry
    const path = `webhooks.${index}`
    if (id.startsWith(MADE_ID_PREFIX)) problems.push(`${path}.id must not begin with ${MADE_ID_PREFIX}`)
    const fault = webhookUrlFault(url)
    if (fault !== undefined) problems.push(`${path}.url ${fault}`)
    if (!webhookKey(secret)) problems.push(`${path}.secret must be whsec_ and the base64 of 24 to 64 bytes`)
    for (const [at, glob] of tools.entries()) {
      const globProblem = globFault(glob)
      if (globProblem !== undefined) problems.push(`${path}.tools.${at}: ${globProblem}`)
    }
    return {
      id,
      url,
      secret,
      tenant: entry.tenant ?? 'default',
      description: entry.description ?? '',
      filter: { events, tools, risks },
      callbackAs: entry.callbackAs ?? null,
      enabled: entry.enabled ?? true,
    }
  })
}
