import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import websocket from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Identity, Principal } from '../../../lib/ports/identity.ts'
import { authenticate, PEOPLE } from '../../../lib/runtime/access.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import { StreamClient } from './client.ts'
import type { Hub } from './hub.ts'
import { Tickets } from './tickets.ts'

export const PROTOCOL = 'countersign.v1'
const MAX_FRAME_BYTES = 64 * 1024

declare module 'fastify' {
  interface FastifyRequest {
    /** Tells anew who opened the stream; set before the upgrade. */
    streamOwner: { principal: Principal; authenticate: () => Promise<Principal | undefined> } | null
  }
}

/** The live stream of a tenant's approvals, and tickets to open it. */
export const streamRoutes: FastifyPluginAsyncTypebox<{
  hub: Hub
  decider: Decider
  identity: Identity
  clients: Set<StreamClient>
  clock: Clock
  log: Logger
  metrics: Metrics
}> = async (app, { hub, decider, identity, clients, clock, log, metrics }) => {
  const tickets = new Tickets(clock)
  await app.register(websocket, {
    options: {
      maxPayload: MAX_FRAME_BYTES,
      handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
    },
    errorHandler: (error, socket) => {
      log.error({ err: error }, 'a stream failed to open')
      socket.terminate()
    },
  })
  app.takeUpgrades('/v1/stream')
  app.decorateRequest('streamOwner', null)

  app.post(
    '/v1/stream/ticket',
    {
      config: { access: PEOPLE },
      schema: {
        summary: 'A one-time ticket that opens the stream within 30 seconds',
        tags: ['stream'],
        response: answers({
          200: Type.Object({ ticket: Type.String(), expiresAt: Type.String({ format: 'date-time' }) }),
        }),
      },
    },
    async (request) => {
      const { ticket, expiresAt } = tickets.issue(() => authenticate(request, identity))
      return { ticket, expiresAt: new Date(expiresAt).toISOString() }
    },
  )

  const ownerOf = async (request: FastifyRequest<{ Querystring: { ticket?: string } }>) => {
    const { ticket } = request.query
    const whoIs = ticket === undefined ? () => authenticate(request, identity) : tickets.take(ticket)
    const principal = await whoIs?.()
    if (!whoIs || !principal) throw new CountersignError('unauthenticated')
    if (!PEOPLE.some((role) => role === principal.role))
      throw new CountersignError('forbidden', `The role ${principal.role} may not read the stream.`)
    return { principal, authenticate: whoIs }
  }

  app.get<{ Querystring: { ticket?: string } }>(
    '/v1/stream',
    {
      websocket: true,
      // Who opens it is told by a header, a cookie, or a ticket that this route alone knows.
      config: { access: 'public' },
      schema: {
        summary: 'The live stream (WebSocket, sub-protocol countersign.v1)',
        tags: ['stream'],
        querystring: Type.Object({ ticket: Type.Optional(Type.String({ maxLength: 256 })) }),
      },
      preValidation: async (request) => {
        if (request.headers.upgrade === undefined)
          throw new CountersignError('invalid_request', 'This is a WebSocket: send an upgrade request.')
        request.streamOwner = await ownerOf(request)
      },
    },
    (socket, request) => {
      const owner = request.streamOwner
      if (!owner) return socket.terminate()
      const client = new StreamClient({ socket, hub, decider, log, traceId: request.id, ...owner })
      clients.add(client)
      metrics.streamClients.set(clients.size)
      socket.on('close', () => {
        clients.delete(client)
        metrics.streamClients.set(clients.size)
      })
    },
  )
}
