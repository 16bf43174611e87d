import { type IncomingHttpHeaders, type IncomingMessage, METHODS } from 'node:http'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import { principalOf } from '../../../lib/runtime/access.ts'
import type { Upstream } from '../../../lib/runtime/config/upstreams.ts'
import { abortOnDisconnect } from '../../../lib/runtime/disconnect.ts'
import { setApiHeaders } from '../../../lib/runtime/http-app.ts'
import { parsePrefer } from '../../../lib/runtime/prefer.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import type { AskAnswer, Asking, AskRequest } from '../asking.ts'
import { keyOf } from '../idempotency-key.ts'
import { namedApproval } from '../named-approval.ts'
import { pendingAnswer } from '../pending.ts'
import { saidAutonomy } from '../said-autonomy.ts'
import { readBody } from './body.ts'
import { destinationOf, PREFIX } from './destination.ts'
import { discardRest } from './discard.ts'
import { headersToForward, judgedHeaders } from './headers.ts'
import { type HttpCall, httpAction } from './http-action.ts'
import { peek } from './peek.ts'
import type { Sending } from './sending.ts'
import type { Spool, Spools } from './spool.ts'
import { Upgrades } from './upgrades.ts'

/** One entry each in the OpenAPI document stands for all: most methods it does not know. */
const DOCUMENTED = ['GET', 'POST']

/** Where agents call their upstreams through the gate. */
export const proxyRoutes: FastifyPluginAsyncTypebox<{
  asking: Pick<Asking, 'ask'>
  sending: Sending
  spools: Spools
  upstreams: readonly Upstream[]
  clock: Clock
}> = async (app, { asking, sending, spools, upstreams, clock }) => {
  const byName = new Map(upstreams.map((upstream) => [upstream.name, upstream]))
  const upgrades = new Upgrades(app)

  // Who waits to be told that its body is wanted is told so when the call is known to lead somewhere.
  app.server.on('checkContinue', (request, response) => {
    if (!request.url?.startsWith(PREFIX)) response.writeContinue()
    app.routing(request, response)
  })

  const documented = {
    summary: 'Forward a call to an upstream',
    description:
      'Any method but TRACE, streamed both ways. The call goes when a rule allows it or a person approves, and the answer is that ' +
      'of the upstream. `Prefer: wait=N` and `respond-async`, `Idempotency-Key` and `Countersign-Approval` work as they ' +
      'do with `/v1/actions`. The key may come in `Countersign-Key`, in `Authorization` or in `x-api-key`.',
    tags: ['proxy'],
    params: Type.Object({ '*': Type.String({ description: 'The name of the upstream, and the path there.' }) }),
    response: answers({}),
  }
  const methods = METHODS.filter((method) => method !== 'CONNECT')
  for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  for (const isDocumented of [true, false])
    app.route({
      method: methods.filter((method) => DOCUMENTED.includes(method) === isDocumented),
      url: `${PREFIX}*`,
      exposeHeadRoute: false,
      config: { access: ['agent'], audience: 'agent', passesOn: true },
      schema: isDocumented ? documented : { hide: true },
      // Before anything else would read the body, or judge its type.
      onRequest: (request, reply) => {
        discardRest(request.raw, reply.raw, clock)
        return pass(request, reply)
      },
      handler: async () => {
        throw new CountersignError('internal_error')
      },
    })

  async function pass(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { raw, agentSecret: secret } = request
    const { headers: said } = raw
    const principal = principalOf(request)
    const upgrading = upgrades.take(raw, reply.raw)
    refuseEchoes(raw, secret)
    const { upstream, target } = destinationOf(raw.url ?? '', byName)
    const prefer = parsePrefer(said.prefer)
    const { list, values: headers } = headersToForward(raw, { secret, replaced: upstream.replaces })
    // Part of what is shown and known again: an approval of a plain call opens no WebSocket.
    if (upgrading) headers.upgrade = ['websocket']
    const judged = judgedHeaders(headers)
    const key = keyOf(said['idempotency-key'], principal)
    const named = namedApproval(said['countersign-approval'])
    const context = { session: shortText(said, 'countersign-session'), user: shortText(said, 'countersign-user') }

    if (said.expect !== undefined && !upgrading) reply.raw.writeContinue()
    const peeked = await peek(raw, clock)
    const body = await readBody(peeked, judged)
    const call: HttpCall = { upstream, target, method: raw.method ?? '', headers, peeked, body, context }
    const comesBack = prefer.respondAsync || prefer.waitSeconds !== undefined
    let spool: Spool | undefined
    const ask: AskRequest = {
      principal,
      action: {
        kind: 'http',
        http: { upstream: upstream.name, method: call.method, target, headers: judged, body: body.judged },
        agent: principal,
        context: { ...context, autonomy: saidAutonomy(said['countersign-autonomy']) },
      },
      describe: ({ agent, ruleRevision }) => {
        if (!peeked.whole && comesBack) throw serves1Connection()
        return httpAction({ tenant: principal.tenant, agent, call, ruleRevision })
      },
      // What was not read whole cannot be known again.
      key: peeked.whole ? key : null,
      named,
      keep: key !== null && peeked.whole,
      waitMs: prefer.respondAsync ? 0 : (prefer.waitSeconds ?? Number.POSITIVE_INFINITY) * 1000,
      // An allowed body streams straight through.
      signal: () => {
        if (!peeked.whole) spool = spools.begin(raw, reply.raw, peeked)
        return abortOnDisconnect(reply)
      },
    }
    let answer: AskAnswer
    try {
      answer = await asking.ask(ask)
    } finally {
      spool?.stop()
    }
    if (answer.type === 'pending') {
      setApiHeaders(reply)
      reply.send(pendingAnswer(reply, answer))
      return
    }
    await sending.send({ call, list, answer, principal, request: raw, reply, upgrading, spool })
  }
}

/**
 * An answer to TRACE is the call as it came there (RFC 9110, 9.3.8), with the credential that the gate adds. And the
 * agent's key is no business of the upstream's, wherever the agent puts it.
 */
function refuseEchoes({ method, url = '' }: IncomingMessage, secret: string | null): void {
  if (method === 'TRACE')
    throw new CountersignError('invalid_request', 'TRACE is not forwarded: its answer would show what the gate adds.')
  if (secret !== null && (url.includes(secret) || (url.includes('%') && unescaped(url).includes(secret))))
    throw new CountersignError('invalid_request', 'The URL holds the key of the agent: send it in a header alone.')
}

const unescaped = (url: string): string =>
  url.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

const serves1Connection = () =>
  new CountersignError(
    'invalid_request',
    'The body is longer than what is read ahead, so its approval serves this connection alone: call without Prefer.',
  )

/** What the agent says of the call, in a header. Throws `invalid_request`. */
function shortText(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name]
  if (value === undefined) return null
  if (typeof value !== 'string' || value.length < 1 || value.length > 200)
    throw new CountersignError('invalid_request', `${name} takes 1 to 200 characters.`)
  return value
}
