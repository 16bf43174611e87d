import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Json } from '../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { parseStrictJson } from '../../../lib/core/strict-json.ts'
import { principalOf } from '../../../lib/runtime/access.ts'
import type { Config } from '../../../lib/runtime/config.ts'
import { abortOnDisconnect } from '../../../lib/runtime/disconnect.ts'
import { decodeUtf8 } from '../../../lib/runtime/http-app.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import { tooMany } from '../holds.ts'
import { namedApproval } from '../named-approval.ts'
import { saidAutonomy } from '../said-autonomy.ts'
import { type Incoming, isStateless, readMessage } from './message.ts'
import { decodedHeader, PARAM_HEADER } from './param-headers.ts'
import type { McpRelay } from './relay.ts'
import type { Exchange, McpAnswer } from './replies.ts'
import type { SessionIds } from './session-ids.ts'

interface McpBody {
  text: string
  value: Json
}

const PASSED_HEADERS = /^(mcp-protocol-version|mcp-method|mcp-name|last-event-id)$/

const Message = Type.Object({}, { additionalProperties: true, description: 'A JSON-RPC 2.0 message of MCP.' })
const params = Type.Object({ server: Type.String({ maxLength: 64, description: 'As countersign.yaml names it.' }) })
const headers = Type.Object({
  'mcp-session-id': Type.Optional(Type.String({ description: 'As the answer to initialize gave it.' })),
  'mcp-protocol-version': Type.Optional(Type.String()),
  'countersign-autonomy': Type.Optional(Type.String({ description: 'Can only make the rules stricter.' })),
})

/** Where MCP clients find the servers of the configuration (MCP, Streamable HTTP). */
export const mcpRoutes: FastifyPluginAsyncTypebox<{
  relays: ReadonlyMap<string, McpRelay>
  sessionIds: SessionIds
  config: Config['gate']
}> = async (app, { relays, sessionIds, config }) => {
  const route = { access: ['agent'], audience: 'agent' } as const
  /** Exchanges under way, by agent. */
  const open = new Map<string, number>()

  // The text is forwarded as it was written, after it was judged.
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: FastifyRequest, body: Buffer) => {
    const text = decodeUtf8(body)
    return { text, value: parseStrictJson(text) } satisfies McpBody
  })

  app.addHook('onRequest', async ({ headers: { origin } }) => {
    if (origin !== undefined && !isLoopback(origin))
      throw new CountersignError('forbidden', 'The request comes from a page of another origin.')
  })

  app.post(
    '/mcp/:server',
    {
      config: route,
      bodyLimit: config.maxBodyBytes,
      // What is no message is refused by what reads it.
      validatorCompiler: () => () => true,
      schema: {
        summary: 'Send a message to an MCP server',
        description:
          'MCP Streamable HTTP. Everything passes but `tools/call`, which rules allow, deny, or ask a person about. A call ' +
          'that waits for a person is answered by a stream; a refusal is a tool result with `isError`; a call that the ' +
          'client should make again is the JSON-RPC error -32003, whose `data` is a problem.',
        tags: ['mcp'],
        params,
        headers,
        body: Message,
        response: answers({ 200: Message, 202: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { text, value } = request.body as unknown as McpBody
      const incoming = readMessage(value)
      checkHeaders(incoming, request)
      const message = { text, isStateless: isStateless(incoming.message) }
      const { relay, exchange } = enter(request, reply, message, incoming.type === 'call' && message.isStateless)
      return send(request, reply, await relay.post(incoming, exchange))
    },
  )

  app.get(
    '/mcp/:server',
    {
      exposeHeadRoute: false,
      config: route,
      schema: {
        summary: 'Listen to what an MCP server says by itself',
        description: 'A stream of server-sent events. `Last-Event-ID` resumes a broken one, where the server can.',
        tags: ['mcp'],
        params,
        headers,
        response: answers({ 200: Type.String() }),
      },
    },
    async (request, reply) => {
      const { relay, exchange } = enter(request, reply)
      if (!exchange.acceptsStream) throw new CountersignError('invalid_request', 'Send `Accept: text/event-stream`.')
      return send(request, reply, await relay.listen(exchange))
    },
  )

  app.delete(
    '/mcp/:server',
    {
      config: route,
      schema: {
        summary: 'End a session with an MCP server',
        tags: ['mcp'],
        params,
        headers,
        response: answers({ 200: Type.Null(), 202: Type.Null() }),
      },
    },
    async (request, reply) => {
      const { relay, exchange } = enter(request, reply)
      if (exchange.session === null) throw new CountersignError('invalid_request', 'Send `Mcp-Session-Id`.')
      return send(request, reply, await relay.end(exchange))
    },
  )

  function enter(
    request: FastifyRequest,
    reply: FastifyReply,
    message: Pick<Exchange, 'text' | 'isStateless'> = { text: '', isStateless: false },
    repeatsParams = false,
  ): { relay: McpRelay; exchange: Exchange } {
    const { server } = request.params as { server: string }
    const principal = principalOf(request)
    const relay = relays.get(server)
    if (!relay) throw new CountersignError('not_found', 'The configuration names no such MCP server.')
    const sealed = request.headers['mcp-session-id']
    const session = typeof sealed === 'string' ? sessionIds.open(server, principal, sealed) : null
    if (session === undefined)
      throw new CountersignError('not_found', 'There is no such MCP session. Initialize a new one.')
    takePlace(principal.id, reply)
    return {
      relay,
      exchange: {
        principal,
        session,
        headers: passedHeaders(request, repeatsParams),
        ...message,
        named: namedApproval(request.headers['countersign-approval']),
        autonomy: saidAutonomy(request.headers['countersign-autonomy']),
        acceptsStream: /text\/event-stream|\*\/\*/.test(request.headers.accept ?? ''),
        signal: abortOnDisconnect(reply),
        traceId: request.id,
      },
    }
  }

  /** Until the answer is through. */
  function takePlace(agentId: string, { raw }: FastifyReply): void {
    const taken = open.get(agentId) ?? 0
    if (taken >= config.maxHoldsPerAgent)
      throw tooMany(`This agent has ${config.maxHoldsPerAgent} MCP exchanges open, which is its limit.`)
    open.set(agentId, taken + 1)
    raw.once('close', () => {
      const left = (open.get(agentId) ?? 1) - 1
      if (left > 0) open.set(agentId, left)
      else open.delete(agentId)
    })
  }

  function send(request: FastifyRequest, reply: FastifyReply, answer: McpAnswer): FastifyReply {
    if (answer.type !== 'refused' && answer.session !== null) {
      const { server } = request.params as { server: string }
      reply.header('mcp-session-id', sessionIds.seal(server, principalOf(request), answer.session))
    }
    switch (answer.type) {
      case 'json':
        return reply.type('application/json').send(answer.text)
      case 'stream':
        return reply
          .type('text/event-stream')
          .header('x-accel-buffering', 'no')
          .send(Readable.from(answer.chunks, { objectMode: false }))
      case 'accepted':
        return reply.code(request.method === 'DELETE' ? 200 : 202).send()
      case 'refused':
        return reply.code(answer.status).type('application/json').send(answer.body)
    }
  }
}

/** Headers that repeat arguments mean something in a call without sessions alone, where they are compared with it. */
function passedHeaders({ headers: given }: FastifyRequest, repeatsParams: boolean): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(given))
    if (typeof value === 'string' && (PASSED_HEADERS.test(name) || (repeatsParams && name.startsWith(PARAM_HEADER))))
      passed[name] = value
  return passed
}

/** Headers that repeat the message (MCP 2026-07-28): who goes by them must see the call that was judged. */
function checkHeaders(incoming: Incoming, { headers: given }: FastifyRequest): void {
  const method = given['mcp-method']
  const name = given['mcp-name']
  if (method === undefined && name === undefined) return
  const disagrees =
    (method !== undefined && method !== incoming.message.method) ||
    (incoming.type === 'call' && name !== undefined && decodedHeader(String(name)) !== incoming.tool)
  if (disagrees || !isStateless(incoming.message))
    throw new CountersignError('invalid_request', 'Mcp-Method and Mcp-Name must say what the message says.')
}

/** A page that a stranger made must not reach a gate on the user's machine by rebinding its name (MCP, Security). */
function isLoopback(origin: string): boolean {
  if (!URL.canParse(origin)) return false
  const { hostname } = new URL(origin)
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}
