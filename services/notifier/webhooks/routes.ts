import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { principalOf } from '../../../lib/runtime/access.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import { newEventId, newWebhookId, newWebhookSecret } from '../../../lib/runtime/webhook-ids.ts'
import { type BookDeps, WebhookBook } from './book.ts'
import { deliveryRoutes } from './delivery-routes.ts'
import { NewWebhook, Rotation, WebhookChange, WebhookParams, WebhookSchema, WebhookWithSecret } from './schemas.ts'

const ADMINS = ['admin'] as const
const shared = { config: { access: ADMINS } }
const tags = ['webhooks']

/** `/v1/webhooks`: endpoints, their health and their deliveries, for admins. `wake` is called after every change. */
export const webhookRoutes: FastifyPluginAsyncTypebox<Omit<BookDeps, 'newId' | 'newSecret'>> = async (app, deps) => {
  const { webhooks, deliveries, listed, sender, clock, wake } = deps
  const book = new WebhookBook({
    webhooks,
    deliveries,
    listed,
    sender,
    clock,
    newId: newWebhookId,
    newSecret: newWebhookSecret,
    wake,
  })
  await app.register(deliveryRoutes, { book, deliveries, clock, newEventId, wake })

  app.get(
    '/v1/webhooks',
    {
      ...shared,
      schema: {
        summary: 'List webhook endpoints with their health',
        tags,
        response: answers({ 200: Type.Object({ items: Type.Array(WebhookSchema) }) }),
      },
    },
    async (request) => ({ items: await book.list(principalOf(request).tenant) }),
  )

  app.post(
    '/v1/webhooks',
    {
      ...shared,
      schema: {
        summary: 'Make a webhook endpoint',
        description: 'The answer alone holds the secret.',
        tags,
        body: NewWebhook,
        response: answers({ 201: WebhookWithSecret }),
      },
    },
    async (request, reply) => {
      const { tenant, name } = principalOf(request)
      const made = await book.create(tenant, name, request.body)
      return reply.code(201).header('location', `/v1/webhooks/${made.id}`).send(made)
    },
  )

  app.get(
    '/v1/webhooks/:id',
    {
      ...shared,
      schema: {
        summary: 'One webhook endpoint',
        tags,
        params: WebhookParams,
        response: answers({ 200: WebhookSchema }),
      },
    },
    async (request) => book.show(principalOf(request).tenant, request.params.id),
  )

  app.patch(
    '/v1/webhooks/:id',
    {
      ...shared,
      schema: {
        summary: 'Change a webhook endpoint',
        description: 'What the body does not name stays.',
        tags,
        params: WebhookParams,
        body: WebhookChange,
        response: answers({ 200: WebhookSchema }),
      },
    },
    async (request) => {
      const { tenant, name } = principalOf(request)
      return book.change(tenant, name, request.params.id, request.body)
    },
  )

  app.delete(
    '/v1/webhooks/:id',
    {
      ...shared,
      schema: {
        summary: 'Delete a webhook endpoint',
        description: 'What waits for it is ended.',
        tags,
        params: WebhookParams,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await book.remove(principalOf(request).tenant, request.params.id)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/v1/webhooks/:id/rotate',
    {
      ...shared,
      schema: {
        summary: 'Replace the secret of a webhook endpoint',
        description: 'Both sign until the overlap is over. The answer alone holds the new one.',
        tags,
        params: WebhookParams,
        body: Rotation,
        response: answers({ 200: WebhookWithSecret }),
      },
    },
    async (request) => book.rotate(principalOf(request).tenant, request.params.id, request.body),
  )

  app.post(
    '/v1/webhooks/:id/enable',
    {
      ...shared,
      schema: {
        summary: 'Switch a webhook endpoint on again',
        tags,
        params: WebhookParams,
        response: answers({ 200: WebhookSchema }),
      },
    },
    async (request) => book.enable(principalOf(request).tenant, request.params.id),
  )
}
