import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { CallbackGrant } from '../../../lib/core/callback-token.ts'
import { CountersignError, problem } from '../../../lib/core/errors.ts'
import { viewOf } from '../../../lib/core/view.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import { approverOf } from '../../../lib/runtime/approver.ts'
import { reasonOf } from '../../../lib/runtime/reason.ts'
import { ApprovalSchema, answers, Reason } from '../../../lib/runtime/schemas.ts'
import { type CallbackLinks, leadsNowhere } from './links.ts'
import { askingPage, PAGE_POLICY, problemPage, standingPage } from './page.ts'
import type { CallbackPlaces } from './places.ts'

/** Links that decide: GET shows what it is about, POST decides. The token in the path is the credential. */
export const callbackRoutes: FastifyPluginAsyncTypebox<{
  links: CallbackLinks
  places: CallbackPlaces
  decider: Decider
  identity: Identity
  clock: Clock
}> = async (app, { links, places, decider, identity, clock }) => {
  const config = { access: 'public' } as const
  const params = Type.Object({ token: Type.String({ maxLength: 200 }) })

  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_request: FastifyRequest, text: string) => Object.fromEntries(new URLSearchParams(text)),
  )

  /** Every request looks for itself whether the link counts; the dearer look comes after its signature. */
  async function open(token: string): Promise<CallbackGrant> {
    const grant = await links.read(token, (id) => places.find(id))
    if (await places.isDisabled(grant.endpoint)) throw leadsNowhere()
    return grant
  }

  async function decide(grant: CallbackGrant, reason: string | undefined) {
    const { tenant, approvalId, approver, decision, expiresAt } = grant
    const standing = await decider.lookup(tenant, approvalId)
    // A link that is over says what stands; it also is when the approval itself has got more time since.
    if (standing.status === 'pending' && clock.now() >= expiresAt)
      throw new CountersignError('approval_expired', { detail: 'The time of this link is over.', approvalId })
    const person = await identity.ofPerson({ tenant, name: approver })
    if (!person)
      throw new CountersignError('not_an_approver', 'The approver in whose name this link decides is known no more.')
    const by = approverOf(person, 'link')
    return viewOf(await decider.decide({ tenant, id: approvalId, decision, by, reason: reasonOf(reason), edits: null }))
  }

  app.get('/v1/callbacks/:token', { config, schema: { hide: true, params } }, (request, reply) =>
    asPage(reply, async () => {
      const { tenant, approvalId, decision, approver } = await open(request.params.token)
      const approval = viewOf(await decider.lookup(tenant, approvalId))
      return approval.status === 'pending' ? askingPage(decision, approval, approver) : standingPage(approval)
    }),
  )

  app.post(
    '/v1/callbacks/:token',
    {
      config,
      bodyLimit: 16 * 1024,
      schema: {
        summary: 'Decide by a link of a webhook',
        description:
          'Approves or denies, as the link says, in the name of the approver whom the endpoint names. Works once; later ' +
          'it says what stands. The body may be empty, JSON, or a form.',
        tags: ['approvals'],
        params,
        body: Type.Union([
          Type.Null(),
          Type.Object({ reason: Type.Optional(Reason) }, { additionalProperties: false }),
        ]),
        response: answers({ 200: ApprovalSchema }),
      },
    },
    async (request, reply) => {
      const decided = async () => decide(await open(request.params.token), request.body?.reason)
      if (!wantsPage(request)) return decided()
      return asPage(reply, async () => standingPage(await decided()))
    },
  )
}

const wantsPage = ({ headers }: FastifyRequest): boolean => headers.accept?.includes('text/html') ?? false

/** A page for a person who clicked, also where it went wrong. */
async function asPage(reply: FastifyReply, work: () => Promise<string>): Promise<FastifyReply> {
  const send = (html: string, status = 200) =>
    reply.code(status).header('content-security-policy', PAGE_POLICY).type('text/html; charset=utf-8').send(html)
  try {
    return send(await work())
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error
    const { code, details } = error
    return send(problemPage(code, details), problem(code, details, 'approver').status)
  }
}
