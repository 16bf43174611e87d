import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Approver, Via } from '../../../lib/core/actor.ts'
import { STATUSES, type Status } from '../../../lib/core/approval.ts'
import { CountersignError, problem } from '../../../lib/core/errors.ts'
import { viewOf } from '../../../lib/core/view.ts'
import type { ListCursor } from '../../../lib/ports/approval-store.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import { DECIDERS, PEOPLE, principalOf } from '../../../lib/runtime/access.ts'
import { approverOf } from '../../../lib/runtime/approver.ts'
import { abortOnDisconnect } from '../../../lib/runtime/disconnect.ts'
import { reasonOf } from '../../../lib/runtime/reason.ts'
import { ApprovalSchema, answers, Decision, IdParams, Reason, RiskWord } from '../../../lib/runtime/schemas.ts'
import type { Pending } from '../pending.ts'
import type { Sweeper } from '../sweeper.ts'

const MAX_EXCLUDED = 500
const MAX_WAIT_SECONDS = 60

/** Lists, the pending long-poll, one record with its history, and decisions. */
export const approvalRoutes: FastifyPluginAsyncTypebox<{
  decider: Decider
  pending: Pending
  sweeper: Sweeper
}> = async (app, { decider, pending, sweeper }) => {
  const Items = Type.Object({ items: Type.Array(ApprovalSchema), next: Type.Optional(Type.String()) })

  app.get(
    '/v1/approvals',
    {
      config: { access: PEOPLE },
      schema: {
        summary: 'List approvals, newest first',
        tags: ['approvals'],
        querystring: Type.Object(
          {
            status: Type.Optional(
              Type.String({ description: `One or more of ${STATUSES.join(', ')}, comma separated.` }),
            ),
            agent: Type.Optional(Type.String({ maxLength: 200, description: 'Name or id.' })),
            tool: Type.Optional(Type.String({ maxLength: 200 })),
            risk: Type.Optional(RiskWord),
            q: Type.Optional(Type.String({ maxLength: 200, description: 'A piece of the summary.' })),
            after: Type.Optional(Type.String({ maxLength: 200, description: '`next` of the page before.' })),
            limit: Type.Optional(Type.String({ pattern: '^[0-9]{1,3}$', description: '1 to 200; default 50.' })),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: Items }),
      },
    },
    async (request) => {
      const { status, agent, tool, risk, q, after, limit: limitText = '50' } = request.query
      const limit = Number(limitText)
      if (limit < 1 || limit > 200) throw new CountersignError('invalid_request', 'limit must be from 1 to 200.')
      const found = await decider.list({
        tenant: principalOf(request).tenant,
        limit,
        ...(status === undefined ? {} : { status: parseStatuses(status) }),
        ...(agent === undefined ? {} : { agent }),
        ...(tool === undefined ? {} : { tool }),
        ...(risk === undefined ? {} : { risk }),
        ...(q === undefined ? {} : { q }),
        ...(after === undefined ? {} : { after: parseCursor(after) }),
      })
      const last = found.at(-1)
      return {
        items: found.map((approval) => viewOf(approval)),
        ...(found.length === limit && last ? { next: `${last.requestedAt}.${last.id}` } : {}),
      }
    },
  )

  app.get(
    '/v1/approvals/pending',
    {
      config: { access: PEOPLE },
      schema: {
        summary: 'Wait for pending approvals that are not excluded',
        tags: ['approvals'],
        querystring: Type.Object(
          {
            wait: Type.Optional(
              Type.String({ pattern: '^[0-9]{1,3}$', description: 'Seconds, at most 60; default 0.' }),
            ),
            exclude: Type.Optional(Type.String({ description: `Ids, comma separated, at most ${MAX_EXCLUDED}.` })),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: Items }),
      },
    },
    async (request, reply) => {
      const { wait = '0', exclude = '' } = request.query
      const excluded = new Set(exclude.split(',').filter((id) => id !== ''))
      if (excluded.size > MAX_EXCLUDED)
        throw new CountersignError('invalid_request', `exclude takes at most ${MAX_EXCLUDED} ids.`)
      const waitMs = Math.min(Number(wait), MAX_WAIT_SECONDS) * 1000
      const found = await pending.list(principalOf(request).tenant, excluded, waitMs, abortOnDisconnect(reply))
      return { items: found.map((approval) => viewOf(approval)) }
    },
  )

  app.get(
    '/v1/approvals/:id',
    {
      config: { access: PEOPLE },
      schema: {
        summary: 'One approval with its history',
        tags: ['approvals'],
        params: IdParams,
        response: answers({ 200: ApprovalSchema }),
      },
    },
    async (request) => viewOf(await decider.lookup(principalOf(request).tenant, request.params.id), { history: true }),
  )

  app.post(
    '/v1/approvals/:id/decision',
    {
      config: { access: DECIDERS },
      schema: {
        summary: 'Approve or deny',
        description: 'The decider is who the credential says. The same decision again changes nothing and answers 200.',
        tags: ['approvals'],
        params: IdParams,
        body: Type.Object(
          {
            decision: Decision,
            reason: Type.Optional(Reason),
            edits: Type.Optional(
              Type.Object(
                {},
                { additionalProperties: true, description: 'JSON merge patch (RFC 7396) on the arguments.' },
              ),
            ),
            actor: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: ApprovalSchema }),
      },
    },
    async (request) => {
      const { decision, reason, edits } = request.body
      const { tenant } = principalOf(request)
      const approval = await decider.decide({
        tenant,
        id: request.params.id,
        decision,
        by: approverFrom(request),
        reason: reasonOf(reason),
        edits: edits === undefined ? null : JSON.stringify(edits),
      })
      return viewOf(approval)
    },
  )

  app.post(
    '/v1/approvals/decisions',
    {
      config: { access: DECIDERS },
      schema: {
        summary: 'Decide several at once; each has its own result',
        tags: ['approvals'],
        body: Type.Object(
          {
            ids: Type.Array(Type.String({ maxLength: 200 }), { minItems: 1, maxItems: 200, uniqueItems: true }),
            decision: Decision,
            reason: Type.Optional(Reason),
          },
          { additionalProperties: false },
        ),
        response: answers({
          200: Type.Object({
            results: Type.Array(
              Type.Object({ id: Type.String(), ok: Type.Boolean(), problem: Type.Optional(Type.Unknown()) }),
            ),
          }),
        }),
      },
    },
    async (request) => {
      const { ids, decision, reason } = request.body
      const { tenant } = principalOf(request)
      const by = approverFrom(request)
      const results = await Promise.all(
        ids.map(async (id) => {
          try {
            await decider.decide({ tenant, id, decision, by, reason: reasonOf(reason), edits: null })
            return { id, ok: true }
          } catch (error) {
            if (!(error instanceof CountersignError)) throw error
            return { id, ok: false, problem: problem(error.code, error.details, 'approver', request.id) }
          }
        }),
      )
      return { results }
    },
  )

  app.post(
    '/v1/approvals/expire',
    {
      config: { access: ['admin'] },
      schema: {
        summary: 'Expire everything whose time is over, now',
        tags: ['approvals'],
        body: Type.Object({ allStale: Type.Literal(true) }, { additionalProperties: false }),
        response: answers({ 200: Type.Object({ expired: Type.Integer() }) }),
      },
    },
    async (request) => {
      const { tenant } = principalOf(request)
      const ended = await sweeper.sweep()
      return { expired: ended.filter((approval) => approval.tenant === tenant && approval.status === 'expired').length }
    },
  )
}

/** The command line says so of itself; it is a note in the audit, not a right. */
const viaOf = (request: FastifyRequest): Via =>
  request.headers['user-agent']?.startsWith('countersign-cli/') ? 'cli' : 'http'

const approverFrom = (request: FastifyRequest): Approver => approverOf(principalOf(request), viaOf(request))

function parseStatuses(text: string): Status[] {
  return text.split(',').map((word) => {
    const status = STATUSES.find((each) => each === word.trim())
    if (!status) throw new CountersignError('invalid_request', `status must be of ${STATUSES.join(', ')}.`)
    return status
  })
}

function parseCursor(text: string): ListCursor {
  const found = /^(\d{1,16})\.(apr_[0-9a-z]{26})$/.exec(text)
  if (!found) throw new CountersignError('invalid_request', 'after must be the `next` of a page before.')
  return { requestedAt: Number(found[1]), id: found[2]! }
}
