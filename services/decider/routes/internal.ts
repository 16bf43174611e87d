import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { STATUSES } from '../../../lib/core/approval.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Directory } from '../../../lib/runtime/directory.ts'
import { Decision, Reason, RiskWord, StatusWord } from '../../../lib/runtime/schemas.ts'

const Text = Type.String({ minLength: 1, maxLength: 200 })
const TextOrNull = Type.Union([Text, Type.Null()])
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const closed = { additionalProperties: false }
const OutcomeWord = Type.Enum(['executed', 'failed', 'not_executed', 'unknown'])

const Approver = Type.Object(
  {
    id: Text,
    name: Text,
    type: Type.Enum(['user', 'system', 'agent']),
    via: Type.Enum(['http', 'ws', 'slack', 'cli', 'link', 'topic', 'grant', 'sweeper']),
    groups: Type.Array(Text),
    email: Type.Optional(Text),
  },
  closed,
)

/**
 * What gates and notifiers in other processes ask (lib/ports/decider.ts), each answering whole records. For services
 * alone: whoever holds a service key speaks for every tenant.
 */
export const internalRoutes: FastifyPluginAsyncTypebox<{ decider: Decider; directory: Directory }> = async (
  app,
  { decider, directory },
) => {
  const config = { access: ['service'] } as const

  app.post(
    '/v1/claims',
    {
      config,
      schema: {
        summary: 'Claim the approval that answers a call, or join it',
        tags: ['internal'],
        body: Type.Object(
          {
            tenant: Text,
            agentId: Text,
            approvalId: TextOrNull,
            key: TextOrNull,
            fingerprint: Type.Union([Sha256, Type.Null()]),
            denialMemoryMs: Type.Integer({ minimum: 0 }),
            dedupeWindowMs: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
            holder: TextOrNull,
            keep: Type.Boolean(),
            callback: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 2_048 }), Type.Null()])),
            gate: Text,
          },
          closed,
        ),
      },
    },
    (request) => decider.claim(request.body),
  )

  app.post(
    '/v1/internal/lookup',
    { config, schema: { hide: true, body: Type.Object({ tenant: Text, id: Text }, closed) } },
    (request) => decider.lookup(request.body.tenant, request.body.id),
  )

  app.post(
    '/v1/internal/settle',
    {
      config,
      schema: {
        hide: true,
        body: Type.Object(
          {
            tenant: Text,
            id: Text,
            agentId: Text,
            use: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
            outcome: OutcomeWord,
            status: Type.Union([Type.Integer(), Type.Null()]),
            detail: Type.Union([Type.String({ maxLength: 4000 }), Type.Null()]),
            gate: Text,
            reporter: Type.Optional(Type.Literal('agent')),
          },
          closed,
        ),
      },
    },
    (request) => decider.settle(request.body),
  )

  app.post(
    '/v1/internal/leave',
    {
      config,
      schema: {
        hide: true,
        body: Type.Object(
          { tenant: Text, id: Text, holder: Text, intent: Type.Enum(['cancel', 'keep', 'stay']) },
          closed,
        ),
      },
    },
    async (request, reply) => {
      await decider.leave(request.body)
      return reply.code(204).send()
    },
  )

  app.post(
    '/v1/internal/withdraw',
    {
      config,
      schema: { hide: true, body: Type.Object({ tenant: Text, id: Text, agentId: Text, agentName: Text }, closed) },
    },
    (request) => decider.withdraw(request.body),
  )

  app.post(
    '/v1/internal/decide',
    {
      config,
      schema: {
        hide: true,
        body: Type.Object(
          {
            tenant: Text,
            id: Text,
            decision: Decision,
            by: Approver,
            reason: Type.Union([Reason, Type.Null()]),
            edits: Type.Union([Type.String(), Type.Null()]),
          },
          closed,
        ),
      },
    },
    (request) => decider.decide(request.body),
  )

  app.post(
    '/v1/internal/list',
    {
      config,
      schema: {
        hide: true,
        body: Type.Object(
          {
            tenant: Text,
            status: Type.Optional(Type.Array(StatusWord, { maxItems: STATUSES.length })),
            agent: Type.Optional(Text),
            tool: Type.Optional(Text),
            risk: Type.Optional(RiskWord),
            q: Type.Optional(Text),
            after: Type.Optional(Type.Object({ requestedAt: Type.Integer(), id: Text }, closed)),
            limit: Type.Integer({ minimum: 1, maximum: 200 }),
          },
          closed,
        ),
      },
    },
    (request) => decider.list(request.body),
  )

  app.post(
    '/v1/internal/identify',
    {
      config,
      schema: {
        hide: true,
        body: Type.Object({ kind: Type.Enum(['key', 'session']), hash: Sha256 }, closed),
      },
    },
    async ({ body: { kind, hash } }) => {
      const principal = await (kind === 'key' ? directory.ofKeyHash(hash) : directory.ofSessionHash(hash))
      return principal === undefined ? {} : { principal }
    },
  )

  app.post(
    '/v1/internal/person',
    {
      config,
      schema: {
        hide: true,
        body: Type.Union([
          Type.Object({ tenant: Text, name: Text }, closed),
          Type.Object({ tenant: Text, email: Type.String({ minLength: 1, maxLength: 320 }) }, closed),
        ]),
      },
    },
    async ({ body }) => {
      const principal = await directory.ofPerson(body)
      return principal === undefined ? {} : { principal }
    },
  )
}
