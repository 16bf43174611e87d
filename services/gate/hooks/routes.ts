import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { type Approval, Status } from '../../../lib/core/approval.ts'
import type { Json, JsonObject } from '../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { mergePatch } from '../../../lib/core/merge-patch.ts'
import { redactText } from '../../../lib/core/preview.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import { principalOf } from '../../../lib/runtime/access.ts'
import type { Config } from '../../../lib/runtime/config.ts'
import { abortOnDisconnect } from '../../../lib/runtime/disconnect.ts'
import { asProblem } from '../../../lib/runtime/http-app.ts'
import { parsePrefer } from '../../../lib/runtime/prefer.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import type { Approvals } from '../approvals.ts'
import type { Asking } from '../asking.ts'
import { namedApproval } from '../named-approval.ts'
import { saidAutonomy } from '../said-autonomy.ts'
import { hookAction, judgedOf } from './hook-action.ts'
import { eventOf, type Hook, HookBody, readHook } from './hook-input.ts'
import {
  allow,
  approvedText,
  deny,
  editedContext,
  type HookDecision,
  type HookOutput,
  NO_DECISION,
  pendingText,
  refusalText,
} from './hook-output.ts'
import { HookUses } from './hook-uses.ts'

type Ask = Extract<Hook, { type: 'question' }> & { principal: Principal; reply: FastifyReply }

/** Tools whose input is the user's own answer: nothing but a person at the hook's other end can take its place. */
const ASKS_THE_USER = ['AskUserQuestion', 'ExitPlanMode']

/**
 * Where the hooks of Claude Code, and those of the same shape, ask. To a hook's caller any status but 2xx is an error
 * that blocks nothing, so everything is answered 200: what is wrong denies, and says why.
 */
export const hookRoutes: FastifyPluginAsyncTypebox<{
  asking: Asking
  approvals: Approvals
  gate: string
  config: Config['gate']
}> = async (app, { asking, approvals, gate, config }) => {
  const uses = new HookUses()
  app.setErrorHandler<FastifyError | CountersignError>((error, request, reply) => {
    const { code, details } = asProblem(error)
    if (code === 'internal_error') request.log.error({ err: error, traceId: request.id }, 'a hook failed')
    if (code === 'shutting_down') reply.header('connection', 'close')
    return send(reply, 'deny', deny(eventOf(request.body), refusalText(code, details)), details.approvalId)
  })

  app.post(
    '/hooks/claude-code',
    {
      config: { access: ['agent'], audience: 'agent', bodyFirst: true },
      bodyLimit: config.maxBodyBytes,
      schema: {
        summary: 'Answer a hook of Claude Code',
        description:
          'The hook’s JSON in, the answer that Claude Code reads out: always 200. PreToolUse and PermissionRequest are ' +
          'held until a person decides, PostToolUse and PostToolUseFailure report what came of the call. ' +
          '`Prefer: wait=N` bounds the wait in seconds. `Countersign-Decision` says `allow`, `deny`, `pending` or `none`.',
        tags: ['hooks'],
        headers: Type.Object({
          prefer: Type.Optional(Type.String({ description: 'wait=N (seconds) or respond-async (RFC 7240).' })),
          'countersign-approval': Type.Optional(Type.String({ description: 'The approval to go on waiting for.' })),
          'countersign-autonomy': Type.Optional(Type.String({ description: 'Can only make the rules stricter.' })),
        }),
        body: HookBody,
        response: answers({ 200: Type.Object({}, { additionalProperties: true }) }),
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const hook = readHook(request.body)
      if (hook.type === 'report') {
        await report(principal, hook)
        return send(reply, 'none', NO_DECISION)
      }
      const ask: Ask = { ...hook, principal, reply }
      return (await permitted(ask)) ?? answer(ask, request)
    },
  )

  /** What this gate let go a moment ago needs no second question. */
  async function permitted({ event, call, principal, reply }: Ask) {
    const known = event === 'PermissionRequest' ? uses.permit(principal, call) : undefined
    if (!known) return undefined
    const approval = await approvals.watch({
      tenant: principal.tenant,
      agentId: principal.id,
      id: known.id,
      waitMs: 0,
      signal: abortOnDisconnect(reply),
    })
    if (approval.status !== Status.claimed || approval.claim?.use !== known.use) return undefined
    const input = call.isCodex ? undefined : call.input
    return send(reply, 'allow', allow(event, { input, reason: approvedText(approval) }), approval.id)
  }

  async function answer(ask: Ask, { headers }: FastifyRequest) {
    const { event, call, principal, reply } = ask
    const { tenant } = principal
    const { waitSeconds = Number.POSITIVE_INFINITY, respondAsync } = parsePrefer(headers.prefer)
    const found = await asking.ask({
      principal,
      action: judgedOf(principal, call, saidAutonomy(headers['countersign-autonomy'])),
      describe: (asked) => hookAction({ tenant, call, ...asked }),
      key: null,
      named: namedApproval(headers['countersign-approval']),
      keep: true,
      waitMs: respondAsync ? 0 : Math.min(waitSeconds * 1000, config.hookWaitMs),
      signal: () => abortOnDisconnect(reply),
    })
    switch (found.type) {
      case 'allow':
        if (found.rule === null || ASKS_THE_USER.includes(call.tool)) return send(reply, 'none', NO_DECISION)
        return send(
          reply,
          'allow',
          allow(event, {
            input: event === 'PermissionRequest' && call.isCodex ? undefined : call.input,
            reason: `Countersign: allowed by the rule ${found.rule.id}.`,
          }),
        )
      case 'pending':
        return send(reply, 'pending', deny(event, pendingText(found)), found.id)
      case 'go':
        return goAhead(ask, found.approval)
    }
  }

  async function goAhead({ event, call, principal, reply }: Ask, approval: Approval) {
    const { id, edits } = approval
    const input = edits === null ? call.input : (mergePatch(call.input, JSON.parse(edits) as Json) as JsonObject)
    const takesInput = !(event === 'PermissionRequest' && call.isCodex)
    if (edits !== null && !takesInput) {
      await giveBack(principal, approval, 'The caller takes no changed arguments.')
      throw new CountersignError('edits_not_allowed', {
        detail: 'A person approved this call with changed arguments, which a PermissionRequest of Codex cannot take.',
        approvalId: id,
      })
    }
    uses.letGo(principal, event, call, input, approval)
    // The questions are the user's to answer, unless the approver has.
    if (call.tool === 'AskUserQuestion' && input.answers === undefined) return send(reply, 'none', NO_DECISION, id)
    const output = allow(event, {
      input: takesInput ? input : undefined,
      reason: approvedText(approval),
      ...(edits === null ? {} : { context: editedContext(approval) }),
    })
    return send(reply, 'allow', output, id)
  }

  const giveBack = ({ id: agentId, tenant }: Principal, { id, claim }: Approval, detail: string) =>
    approvals.report({
      tenant,
      id,
      agentId,
      use: claim?.use ?? null,
      outcome: 'not_executed',
      status: null,
      detail,
      gate,
    })

  async function report(principal: Principal, hook: Extract<Hook, { type: 'report' }>): Promise<void> {
    const known = uses.take(principal, hook.call)
    if (!known) return
    await approvals.report({
      tenant: principal.tenant,
      agentId: principal.id,
      ...known,
      outcome: hook.event === 'PostToolUse' ? 'executed' : 'failed',
      status: null,
      detail: hook.error === null ? null : firstLine(hook.error),
      gate,
    })
  }
}

function send(reply: FastifyReply, decision: HookDecision, output: HookOutput, approvalId?: string): FastifyReply {
  reply.header('countersign-decision', decision)
  if (approvalId !== undefined) reply.header('countersign-approval', approvalId)
  return reply.code(200).type('application/json').send(JSON.stringify(output))
}

/** What a tool printed stays with the user; how it failed goes on record. */
const firstLine = (error: string): string => redactText(error.split('\n', 1).join('').slice(0, 200))
