import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Delivery, DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import { principalOf } from '../../../lib/runtime/access.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import { newDelivery } from '../deliveries/new-delivery.ts'
import type { WebhookBook } from './book.ts'
import { DeliveriesQuery, DeliveryParams, DeliverySchema, WebhookParams } from './schemas.ts'
import { deliveryView } from './views.ts'

const shared = { config: { access: ['admin'] as const } }
const tags = ['webhooks']
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/

/** What was delivered to a webhook endpoint, test deliveries, and replays. */
export const deliveryRoutes: FastifyPluginAsyncTypebox<{
  book: WebhookBook
  deliveries: DeliveryStore
  clock: Clock
  newEventId: () => string
  wake: () => void
}> = async (app, { book, deliveries, clock, newEventId, wake }) => {
  app.get(
    '/v1/webhooks/:id/deliveries',
    {
      ...shared,
      schema: {
        summary: 'List the deliveries of a webhook endpoint, newest first',
        tags,
        params: WebhookParams,
        querystring: DeliveriesQuery,
        response: answers({
          200: Type.Object({ items: Type.Array(DeliverySchema), next: Type.Optional(Type.String()) }),
        }),
      },
    },
    async (request) => {
      const { status, after, limit: limitText = '50' } = request.query
      const limit = Number(limitText)
      if (limit < 1 || limit > 200) throw new CountersignError('invalid_request', 'limit must be from 1 to 200.')
      const { tenant } = principalOf(request)
      const { id: endpoint } = await book.find(tenant, request.params.id)
      const found = await deliveries.list({
        tenant,
        endpoint,
        limit,
        ...(status === undefined ? {} : { status }),
        ...(after === undefined ? {} : { after: placeOf(after) }),
      })
      const last = found.at(-1)
      return {
        items: found.map(deliveryView),
        ...(found.length === limit && last ? { next: `${last.createdAt}.${last.id}` } : {}),
      }
    },
  )

  app.post(
    '/v1/webhooks/:id/test',
    {
      ...shared,
      schema: {
        summary: 'Send a test to a webhook endpoint',
        description: 'A delivery of the type `webhook.test`; the list of deliveries says what becomes of it.',
        tags,
        params: WebhookParams,
        response: answers({ 202: DeliverySchema }),
      },
    },
    async (request, reply) => {
      const { tenant } = principalOf(request)
      const webhook = await book.find(tenant, request.params.id)
      if (!(await book.isOpen(webhook)))
        throw new CountersignError('webhook_disabled', 'Nothing is sent to it until it is enabled.')
      const at = clock.now()
      const eventId = newEventId()
      const data = { id: webhook.id, tenant }
      const body = JSON.stringify({ type: 'webhook.test', timestamp: new Date(at).toISOString(), data })
      const about = { endpoint: webhook.id, tenant, approvalId: null, version: 0 }
      const delivery = newDelivery({ ...about, eventId, type: 'webhook.test', body }, at)
      await deliveries.insert([delivery])
      wake()
      return reply.code(202).send(deliveryView(delivery))
    },
  )

  app.post(
    '/v1/webhooks/:id/deliveries/:deliveryId/replay',
    {
      ...shared,
      schema: {
        summary: 'Deliver again',
        description: 'From the first attempt on, with the same `webhook-id`. One that waits stays as it is.',
        tags,
        params: DeliveryParams,
        response: answers({ 200: DeliverySchema }),
      },
    },
    async (request) => {
      const { tenant } = principalOf(request)
      const { id: endpoint } = await book.find(tenant, request.params.id)
      const find = async (): Promise<Delivery> => {
        const delivery = await deliveries.get(request.params.deliveryId)
        if (delivery?.endpoint !== endpoint || delivery.tenant !== tenant)
          throw new CountersignError('delivery_not_found')
        return delivery
      }
      const { id } = await find()
      if (await deliveries.replay(id, clock.now())) wake()
      return deliveryView(await find())
    },
  )

  app.post(
    '/v1/webhooks/:id/replay',
    {
      ...shared,
      schema: {
        summary: 'Deliver again what was given up',
        description: 'Every dead delivery that was made since then.',
        tags,
        params: WebhookParams,
        body: Type.Object(
          { since: Type.String({ maxLength: 40, description: 'An instant (RFC 3339).' }) },
          { additionalProperties: false },
        ),
        response: answers({ 200: Type.Object({ replayed: Type.Integer() }) }),
      },
    },
    async (request) => {
      const { tenant } = principalOf(request)
      const { id: endpoint } = await book.find(tenant, request.params.id)
      const since = RFC_3339.test(request.body.since) ? Date.parse(request.body.since) : Number.NaN
      if (Number.isNaN(since))
        throw new CountersignError('invalid_body', {
          detail: 'since must be an instant, as 2026-01-31T12:00:00Z.',
          errors: [{ path: 'since', message: 'must be an instant' }],
        })
      const replayed = await deliveries.replayDead({ tenant, endpoint, since, at: clock.now() })
      if (replayed > 0) wake()
      return { replayed }
    },
  )
}

function placeOf(after: string): { createdAt: number; id: string } {
  const [, createdAt, id] = /^(\d{1,15})\.(dlv_[0-9a-z]{1,64})$/.exec(after) ?? []
  if (createdAt === undefined || id === undefined)
    throw new CountersignError('invalid_request', 'after must be `next` of the page before.')
  return { createdAt: Number(createdAt), id }
}
