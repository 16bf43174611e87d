import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Decider } from '../../../lib/ports/decider.ts'
import { answers } from '../../../lib/runtime/schemas.ts'

const nullable = <T extends ReturnType<typeof Type.String>>(type: T) => Type.Union([type, Type.Null()])
const Text = Type.String({ minLength: 1, maxLength: 200 })

/** For gates in other processes: the one-time use of an approval. */
export const claimRoutes: FastifyPluginAsyncTypebox<{ decider: Decider }> = async (app, { decider }) => {
  app.post(
    '/v1/claims',
    {
      config: { access: ['service'] },
      schema: {
        summary: 'Claim the approval that answers a call, or join it',
        tags: ['internal'],
        body: Type.Object(
          {
            tenant: Text,
            agentId: Text,
            approvalId: nullable(Text),
            key: nullable(Text),
            fingerprint: nullable(Type.String({ pattern: '^[0-9a-f]{64}$' })),
            denialMemoryMs: Type.Integer({ minimum: 0 }),
            holder: nullable(Text),
            keep: Type.Boolean(),
            gate: Text,
          },
          { additionalProperties: false },
        ),
        response: answers({
          200: Type.Object({
            outcome: Type.Enum(['claimed', 'pending', 'denied', 'expired', 'cancelled', 'used', 'none']),
            replay: Type.Optional(Type.Boolean()),
            approval: Type.Optional(Type.Unknown({ description: 'The whole record, edits included.' })),
          }),
        }),
      },
    },
    (request) => decider.claim(request.body),
  )
}
