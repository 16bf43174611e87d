import { type Static, Type } from 'typebox'
import { RISKS } from '../../../lib/core/events.ts'
import { NOTIFICATION_TYPES } from '../../../lib/core/notification.ts'
import { DELIVERY_STATUSES } from '../../../lib/ports/delivery-store.ts'

const Instant = Type.String({ format: 'date-time' })
const words = <T extends string>(values: readonly T[]) => Type.Enum([...values])
const closed = { additionalProperties: false }

/** The longest that two secrets sign side by side. */
const LONGEST_OVERLAP_MS = 7 * 24 * 3_600_000

const Events = Type.Array(words(NOTIFICATION_TYPES), {
  maxItems: NOTIFICATION_TYPES.length,
  uniqueItems: true,
  description: 'Empty: all.',
})
const Tools = Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
  maxItems: 100,
  description: 'Globs on the tool or the HTTP target. Empty: all.',
})
const Risks = Type.Array(words(RISKS), { maxItems: RISKS.length, uniqueItems: true, description: 'Empty: all.' })
const Url = Type.String({ minLength: 1, maxLength: 2_048, description: 'https://…, without credentials and fragment.' })
const Description = Type.String({ maxLength: 200 })
const Secret = Type.String({
  maxLength: 200,
  description: '`whsec_` and the base64 of 24 to 64 bytes; made where it is not given.',
})
const CallbackAs = Type.Union([Type.String({ pattern: '^[A-Za-z0-9._@-]{1,64}$' }), Type.Null()], {
  description: 'The approver in whose name the links in the body decide; through the API yourself. Null: no links.',
})

const settings = {
  description: Type.Optional(Description),
  events: Type.Optional(Events),
  tools: Type.Optional(Tools),
  risks: Type.Optional(Risks),
  callbackAs: Type.Optional(CallbackAs),
  enabled: Type.Optional(Type.Boolean()),
}

export const NewWebhook = Type.Object({ url: Url, secret: Type.Optional(Secret), ...settings }, closed)
export const WebhookChange = Type.Object({ url: Type.Optional(Url), ...settings }, { ...closed, minProperties: 1 })
export type WebhookChange = Static<typeof WebhookChange>

export const Rotation = Type.Object(
  {
    secret: Type.Optional(Secret),
    overlapMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: LONGEST_OVERLAP_MS,
        description: 'How long the secret before goes on signing beside it; default a day.',
      }),
    ),
  },
  closed,
)

const webhook = {
  id: Type.String(),
  tenant: Type.String(),
  source: Type.Enum(['api', 'config'], { description: 'What `config` lists cannot be changed here.' }),
  url: Type.String({ description: 'Without its query, which may hold a secret.' }),
  description: Type.String(),
  events: Events,
  tools: Tools,
  risks: Risks,
  callbackAs: CallbackAs,
  enabled: Type.Boolean({ description: 'False: switched off by a person.' }),
  health: Type.Object({
    failingSince: Type.Optional(Instant),
    disabled: Type.Optional(
      Type.Object(
        { at: Instant, reason: words(['gone', 'failing']) },
        { description: 'It answered 410, or failed for 5 days: nothing is sent until it is enabled.' },
      ),
    ),
    lastAttemptAt: Type.Optional(Instant),
    lastSuccessAt: Type.Optional(Instant),
  }),
  rotatingUntil: Type.Optional(
    Type.String({ format: 'date-time', description: 'Until then an older secret signs too.' }),
  ),
  createdAt: Type.Optional(Instant),
  updatedAt: Type.Optional(Instant),
}
export const WebhookSchema = Type.Object(webhook)
export const WebhookWithSecret = Type.Object({
  ...webhook,
  secret: Type.String({ description: 'Shown this once.' }),
})
export type WebhookView = Static<typeof WebhookSchema>

export const DeliverySchema = Type.Object({
  id: Type.String(),
  webhookId: Type.String(),
  approvalId: Type.Optional(Type.String()),
  eventId: Type.String({ description: 'The `webhook-id` header.' }),
  type: Type.String(),
  status: words(DELIVERY_STATUSES),
  attempts: Type.Integer({ description: 'Since it was made, or replayed.' }),
  createdAt: Instant,
  nextAttemptAt: Type.Optional(Instant),
  endedAt: Type.Optional(Instant),
  log: Type.Array(
    Type.Object({
      at: Instant,
      durationMs: Type.Number(),
      outcome: words(['delivered', 'failed', 'rejected', 'gone']),
      status: Type.Optional(Type.Integer()),
      detail: Type.Optional(Type.String()),
    }),
    { description: 'The latest 20 attempts, oldest first.' },
  ),
})
export type DeliveryView = Static<typeof DeliverySchema>

export const WebhookParams = Type.Object({ id: Type.String({ maxLength: 200 }) })
export const DeliveryParams = Type.Object({
  id: Type.String({ maxLength: 200 }),
  deliveryId: Type.String({ maxLength: 200 }),
})

export const DeliveriesQuery = Type.Object(
  {
    status: Type.Optional(words(DELIVERY_STATUSES)),
    after: Type.Optional(Type.String({ maxLength: 200, description: '`next` of the page before.' })),
    limit: Type.Optional(Type.String({ pattern: '^[0-9]{1,3}$', description: '1 to 200; default 50.' })),
  },
  closed,
)
