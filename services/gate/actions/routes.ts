import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Approval } from '../../../lib/core/approval.ts'
import type { Json, JsonObject } from '../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { mergePatch } from '../../../lib/core/merge-patch.ts'
import { redactText } from '../../../lib/core/preview.ts'
import { viewOf } from '../../../lib/core/view.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import { principalOf } from '../../../lib/runtime/access.ts'
import type { Config } from '../../../lib/runtime/config.ts'
import { abortOnDisconnect } from '../../../lib/runtime/disconnect.ts'
import { parsePrefer } from '../../../lib/runtime/prefer.ts'
import { ApprovalId, ApprovalSchema, answers, IdParams } from '../../../lib/runtime/schemas.ts'
import type { Approvals } from '../approvals.ts'
import type { Asking } from '../asking.ts'
import { keyOf } from '../idempotency-key.ts'
import { namedApproval } from '../named-approval.ts'
import { pendingAnswer } from '../pending.ts'
import { toolAction } from './tool-action.ts'

const Text = Type.String({ minLength: 1, maxLength: 200 })
const CallBody = Type.Object(
  {
    tool: Text,
    args: Type.Optional(Type.Object({}, { additionalProperties: true })),
    context: Type.Optional(
      Type.Object(
        {
          session: Type.Optional(Text),
          user: Type.Optional(Text),
          summary: Type.Optional(Type.String({ maxLength: 500 })),
          risk: Type.Optional(Type.String({ maxLength: 50 })),
          labels: Type.Optional(Type.Array(Text, { maxItems: 32 })),
          autonomy: Type.Optional(Type.String({ maxLength: 50, description: 'Can only make the rules stricter.' })),
          callback: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 2000,
              description: 'A URL that is told of the decision, signed, for who does not wait.',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

const Allowed = Type.Object({
  effect: Type.Literal('allow'),
  approvalId: Type.Optional(ApprovalId),
  use: Type.Optional(Type.Integer({ description: 'Which use of the approval this is; name it in the report.' })),
  args: Type.Object({}, { additionalProperties: true, description: 'Use these: an approver may have edited them.' }),
  edited: Type.Optional(Type.Boolean()),
  decidedBy: Type.Optional(Type.Array(Type.Unknown())),
  reason: Type.Optional(Type.String({ description: 'Untrusted text of a person.' })),
  replayed: Type.Optional(Type.Boolean({ description: 'This call was told so before.' })),
  rule: Type.Union([Type.Object({ id: Type.String(), revision: Type.String() }), Type.Null()]),
})

const Pending = Type.Object({
  approvalId: ApprovalId,
  status: Type.Literal('pending'),
  expiresAt: Type.String({ format: 'date-time' }),
  summary: Type.String(),
})

const Reported = Type.Object({
  approvalId: ApprovalId,
  use: Type.Integer(),
  status: Type.Enum(['executed', 'failed', 'not_executed']),
})

/** Where an agent asks before it runs a tool itself: ask, look, withdraw, report. */
export const actionRoutes: FastifyPluginAsyncTypebox<{
  asking: Asking
  approvals: Approvals
  decider: Decider
  gate: string
  config: Config['gate']
  /** Why a callback URL is refused; undefined when it is taken. */
  callbackFault: (url: string) => string | undefined
}> = async (app, { asking, approvals, decider, gate, config, callbackFault }) => {
  const agents = { access: ['agent'], audience: 'agent' } as const

  app.post(
    '/v1/actions',
    {
      config: agents,
      bodyLimit: config.maxBodyBytes,
      schema: {
        summary: 'Ask whether an action may run',
        description:
          'Answers at once when a rule allows or denies. When a person must decide, the request is held until then. ' +
          '`Prefer: wait=N` bounds the wait in seconds, `Prefer: respond-async` answers 202 at once. ' +
          '`Idempotency-Key` makes a retry join the same approval; `Countersign-Approval` names one.',
        tags: ['actions'],
        headers: Type.Object({
          prefer: Type.Optional(Type.String({ description: 'wait=N (seconds) or respond-async (RFC 7240).' })),
          'idempotency-key': Type.Optional(Type.String({ description: '1 to 255 visible ASCII characters.' })),
          'countersign-approval': Type.Optional(Type.String({ description: 'The id of an approval to use.' })),
        }),
        body: CallBody,
        response: answers({ 200: Allowed, 202: Pending }),
      },
    },
    async (request, reply) => {
      const { tool, args = {}, context: { callback = null, ...context } = {} } = request.body
      const fault = callback === null ? undefined : callbackFault(callback)
      if (fault !== undefined)
        throw new CountersignError('invalid_body', {
          detail: `context.callback ${fault}.`,
          errors: [{ path: 'context.callback', message: fault }],
        })
      const principal = principalOf(request)
      const prefer = parsePrefer(request.headers.prefer)
      const key = keyOf(request.headers['idempotency-key'], principal)
      const answer = await asking.ask({
        principal,
        action: { kind: 'tool', tool, args: args as JsonObject, agent: principal, context },
        describe: ({ agent, ruleRevision }) =>
          toolAction({ tenant: principal.tenant, agent, tool, args: args as JsonObject, context, ruleRevision }),
        key,
        named: namedApproval(request.headers['countersign-approval']),
        // Who is told elsewhere need not stay.
        keep: key !== null || callback !== null,
        callback,
        waitMs: prefer.respondAsync
          ? 0
          : Math.min((prefer.waitSeconds ?? Number.POSITIVE_INFINITY) * 1000, config.maxWaitMs),
        signal: () => abortOnDisconnect(reply),
      })
      if (answer.type === 'allow') return { effect: 'allow' as const, args, rule: answer.rule }
      if (answer.type === 'go') {
        const { approval, replayed } = answer
        reply.header('countersign-approval', approval.id)
        return allowed(approval, args as JsonObject, replayed)
      }
      return pendingAnswer(reply, answer)
    },
  )

  app.get(
    '/v1/actions/:id',
    {
      config: agents,
      schema: {
        summary: 'Look at the approval of an action',
        description: '`Prefer: wait=N` waits up to N seconds for a decision.',
        tags: ['actions'],
        params: IdParams,
        response: answers({ 200: ApprovalSchema }),
      },
    },
    async (request, reply) => {
      const { id: agentId, tenant } = principalOf(request)
      const { waitSeconds = 0 } = parsePrefer(request.headers.prefer)
      const waitMs = Math.min(waitSeconds * 1000, config.maxWaitMs)
      const approval = await approvals.watch({
        tenant,
        agentId,
        id: request.params.id,
        waitMs,
        signal: abortOnDisconnect(reply),
      })
      return viewOf(approval)
    },
  )

  app.delete(
    '/v1/actions/:id',
    {
      config: agents,
      schema: {
        summary: 'Withdraw a request that nobody has decided yet',
        tags: ['actions'],
        params: IdParams,
        response: answers({ 200: ApprovalSchema }),
      },
    },
    async (request) => {
      const { id: agentId, name: agentName, tenant } = principalOf(request)
      return viewOf(await decider.withdraw({ tenant, id: request.params.id, agentId, agentName }))
    },
  )

  app.post(
    '/v1/actions/:id/outcome',
    {
      config: agents,
      schema: {
        summary: 'Report what came of an allowed action',
        description:
          '`not_executed` gives the approval back: it can be used again until it expires. 202: the decider is away, the ' +
          'report is on its way to the record.',
        tags: ['actions'],
        params: IdParams,
        body: Type.Object(
          {
            status: Type.Enum(['executed', 'failed', 'not_executed']),
            detail: Type.Optional(Type.String({ maxLength: 2000 })),
            use: Type.Optional(
              Type.Integer({ minimum: 1, description: 'As the answer that allowed it said; default the latest.' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: ApprovalSchema, 202: Reported }),
      },
    },
    async (request, reply) => {
      const { id: agentId, tenant } = principalOf(request)
      const { status, detail, use } = request.body
      const told = await approvals.report({
        tenant,
        id: request.params.id,
        agentId,
        use: use ?? null,
        outcome: status,
        status: null,
        detail: detail === undefined ? null : redactText(detail),
        gate,
        reporter: 'agent',
      })
      if ('approval' in told) return viewOf(told.approval)
      reply.code(202)
      return { approvalId: told.reported.id, use: told.reported.use, status }
    },
  )
}

/** The answer that lets the agent go, with its arguments as the approver edited them. */
function allowed(approval: Approval, args: JsonObject, replayed: boolean) {
  return {
    effect: 'allow' as const,
    approvalId: approval.id,
    ...(approval.claim === null ? {} : { use: approval.claim.use }),
    args: approval.edits === null ? args : (mergePatch(args, JSON.parse(approval.edits) as Json) as JsonObject),
    ...(approval.edits === null ? {} : { edited: true }),
    decidedBy: approval.decidedBy,
    ...(approval.reason === null ? {} : { reason: approval.reason }),
    ...(replayed ? { replayed: true } : {}),
    rule: { id: approval.rule.id, revision: approval.rule.revision },
  }
}
