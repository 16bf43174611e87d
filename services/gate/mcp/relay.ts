import type { Approval } from '../../../lib/core/approval.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { mergePatch } from '../../../lib/core/merge-patch.ts'
import type { McpAction } from '../../../lib/core/policy/action.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { McpReply, McpUpstream } from '../../../lib/ports/mcp-upstream.ts'
import type { McpServer } from '../../../lib/runtime/config/mcp.ts'
import { asProblem } from '../../../lib/runtime/http-app.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Asking } from '../asking.ts'
import { isForTheModel, PENDING_INSTRUCTIONS, refusal } from './answers.ts'
import { eventText, KEEP_ALIVE, paced, within } from './event-stream.ts'
import { held, nothing, progressText } from './held-stream.ts'
import { mcpAction } from './mcp-action.ts'
import { errorText, type Incoming, metaOf, type RequestId, resultText } from './message.ts'
import type { OpenCall, OpenCalls } from './open-calls.ts'
import { paramHeaders, strayParam } from './param-headers.ts'
import {
  type Exchange,
  failed,
  KEEP_ALIVE_MS,
  type McpAnswer,
  NOTHING_OWED,
  type Owed,
  type Replies,
  requestOf,
} from './replies.ts'
import { RequestIds } from './request-ids.ts'
import type { ToolBook } from './tool-book.ts'
import { listTools } from './tool-list.ts'

type Call = Extract<Incoming, { type: 'call' }>

/** What became of a call at the gate. */
type Decision =
  | { type: 'go'; approval: Approval }
  /** Nobody need be asked; `giveBack` tells that it was not executed after all. */
  | { type: 'allow'; giveBack: () => void }
  | { type: 'answer'; text: string }
  /** The client took it back, and wants no answer. */
  | { type: 'silence' }

/** A call that is not decided by then is answered by a stream, so that the client sees it is alive. */
const QUICK_MS = 1_000
/** Longer than any approval. */
const UNTIL_IT_EXPIRES_MS = 40 * 86_400_000

/** Between the clients of one MCP server and the server: everything passes, and tool calls are judged first. */
export class McpRelay {
  readonly #server: McpServer
  readonly #upstream: McpUpstream
  readonly #asking: Asking
  readonly #calls: OpenCalls
  readonly #book: ToolBook
  readonly #replies: Replies
  readonly #clock: Clock
  readonly #log: Logger
  readonly #waitMs: number
  /** Calls that wait for a decision, by session and id: a client can take them back. */
  readonly #held = new Map<string, AbortController>()
  readonly #ids = new RequestIds()
  /** Ends what listens. */
  readonly #stopping = new AbortController()

  constructor(deps: {
    server: McpServer
    upstream: McpUpstream
    asking: Asking
    calls: OpenCalls
    book: ToolBook
    replies: Replies
    clock: Clock
    log: Logger
    holdForMs: number
  }) {
    const { server, holdForMs } = deps
    this.#server = server
    this.#upstream = deps.upstream
    this.#asking = deps.asking
    this.#calls = deps.calls
    this.#book = deps.book
    this.#replies = deps.replies
    this.#clock = deps.clock
    this.#log = deps.log
    this.#waitMs = { retry: 0, hold: UNTIL_IT_EXPIRES_MS, auto: server.holdForMs ?? holdForMs }[server.mode]
  }

  /** Sends away who listens; what is under way may end. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Rejects where the answer is an HTTP status: a session that is unknown, a notification that could not be passed. */
  async post(incoming: Incoming, exchange: Exchange): Promise<McpAnswer> {
    if (incoming.type === 'call' || incoming.type === 'request') {
      const key = this.#requestKey(exchange, incoming.id)
      if (key !== null && (this.#held.has(key) || this.#calls.hasOpen(key) || !this.#ids.take(key))) return ID_IS_TAKEN
    }
    switch (incoming.type) {
      case 'call':
        return this.#call(incoming, exchange)
      case 'request':
        try {
          return await this.#pass(exchange, this.#owed(incoming.id, exchange, null))
        } catch (error) {
          return this.#failed(error, incoming.id, exchange)
        }
      case 'cancel': {
        const key = this.#requestKey(exchange, incoming.requestId)
        const held = key === null ? undefined : this.#held.get(key)
        if (!held) return this.#pass(exchange, { exchange, ...NOTHING_OWED })
        held.abort()
        return { type: 'accepted', session: exchange.session }
      }
      case 'message':
        return this.#pass(exchange, { exchange, ...NOTHING_OWED })
    }
  }

  /** What the server says by itself. */
  async listen(exchange: Exchange): Promise<McpAnswer> {
    const signal = AbortSignal.any([exchange.signal, this.#stopping.signal])
    const reply = await this.#upstream.exchange({ ...requestOf(exchange), method: 'GET', message: null, signal })
    const after = exchange.headers['last-event-id']
    const call = after === undefined ? undefined : this.#calls.resumed(this.#replies.bookKey(exchange), after)
    return this.#replies.answer(reply, { exchange, ...NOTHING_OWED, call: call ?? null })
  }

  async end(exchange: Exchange): Promise<McpAnswer> {
    const { signal } = exchange
    const reply = await this.#upstream.exchange({ ...requestOf(exchange), method: 'DELETE', message: null, signal })
    this.#book.forget(this.#replies.bookKey(exchange))
    return this.#replies.answer(reply, { exchange, ...NOTHING_OWED })
  }

  async #pass(exchange: Exchange, owed: Owed, giveBack?: () => void): Promise<McpAnswer> {
    const { text, signal } = exchange
    const reply = await this.#upstream.exchange({ ...requestOf(exchange), method: 'POST', message: text, signal })
    if (hasDoneNothing(reply)) giveBack?.()
    return this.#replies.answer(reply, owed)
  }

  async #call(call: Call, exchange: Exchange): Promise<McpAnswer> {
    const taken = new AbortController()
    const key = this.#requestKey(exchange, call.id)
    if (key !== null) this.#held.set(key, taken)
    const decided = this.#decide(call, exchange, taken.signal).finally(() => {
      if (key !== null) this.#held.delete(key)
    })
    const decision = exchange.acceptsStream ? await within(decided, QUICK_MS, this.#clock) : await decided
    if (decision) return this.#conclude(decision, call, exchange)
    let told = 0
    let isDecided = false
    const { progressToken } = metaOf(call.message)
    const idle = () =>
      isDecided || progressToken === undefined ? KEEP_ALIVE : eventText({ data: progressText(progressToken, ++told) })
    const conclude = async () => {
      const found = await decided
      isDecided = true
      const answer = await this.#conclude(found, call, exchange).catch((error) =>
        this.#failed(error, call.id, exchange, true),
      )
      // The status has been sent: what the server meant by another one is an error by now.
      return answer.type === 'refused'
        ? this.#failed(failed(`It answered with the status ${answer.status}.`), call.id, exchange, true)
        : answer
    }
    const chunks = paced(held(idle, conclude), { clock: this.#clock, everyMs: KEEP_ALIVE_MS, idle })
    return { type: 'stream', session: exchange.session, chunks }
  }

  /** Never rejects: a refusal is an answer. */
  async #decide(call: Call, exchange: Exchange, taken: AbortSignal): Promise<Decision> {
    const { principal, named, autonomy } = exchange
    const { tool, args } = call
    const server = this.#server.name
    try {
      await this.#checkParams(call, exchange)
      const answer = await this.#asking.ask({
        principal,
        action: {
          kind: 'mcp',
          mcp: await this.#describe(call, exchange),
          args,
          agent: principal,
          context: { autonomy },
        },
        describe: ({ agent, ruleRevision }) =>
          mcpAction({ tenant: principal.tenant, agent, server, tool, args, ruleRevision }),
        key: null,
        named,
        keep: true,
        waitMs: this.#waitMs,
        signal: () => AbortSignal.any([exchange.signal, taken]),
      })
      if (answer.type === 'allow') return { type: 'allow', giveBack: answer.giveBack }
      if (answer.type === 'go') return { type: 'go', approval: answer.approval }
      return taken.aborted ? { type: 'silence' } : { type: 'answer', text: this.#pendingText(call, exchange, answer) }
    } catch (error) {
      return taken.aborted ? { type: 'silence' } : { type: 'answer', text: this.#refusalText(error, call.id, exchange) }
    }
  }

  /** Who goes by the headers that repeat arguments must see the call that is judged. */
  async #checkParams(call: Call, exchange: Exchange): Promise<void> {
    const { headers } = exchange
    if (paramHeaders(headers).length === 0) return
    const key = this.#replies.bookKey(exchange)
    if (!this.#book.paramsOf(key, call.tool)) await this.#learn(call, exchange)
    const stray = strayParam(headers, call.args, this.#book.paramsOf(key, call.tool))
    if (stray !== undefined)
      throw new CountersignError(
        'invalid_request',
        `The header ${stray} must repeat the argument that the tool names it for.`,
      )
  }

  /** Asks the server for its tools. */
  #learn({ message }: Call, exchange: Exchange): Promise<void> {
    const key = this.#replies.bookKey(exchange)
    return listTools({
      upstream: this.#upstream,
      clock: this.#clock,
      exchange,
      message,
      learn: (tools) => this.#book.learn(key, tools),
    })
  }

  /** What rules know of the tool. A trusted server that was not asked for its tools lately is asked now. */
  async #describe(call: Call, exchange: Exchange): Promise<McpAction['mcp']> {
    const { name: server, trusted } = this.#server
    const { tool } = call
    const key = this.#replies.bookKey(exchange)
    let annotations = this.#book.annotationsOf(key, tool)
    if (annotations === undefined && trusted) {
      await this.#learn(call, exchange)
      annotations = this.#book.annotationsOf(key, tool)
    }
    return { server, tool, annotations: annotations ?? null, trusted: trusted && annotations !== undefined }
  }

  async #conclude(decision: Decision, call: Call, exchange: Exchange): Promise<McpAnswer> {
    const owed = this.#owed(call.id, exchange, null)
    switch (decision.type) {
      case 'silence':
        owed.free()
        return { type: 'stream', session: exchange.session, chunks: nothing() }
      case 'answer':
        owed.free()
        return { type: 'json', session: exchange.session, text: decision.text }
      case 'allow':
      case 'go':
        try {
          return decision.type === 'allow'
            ? await this.#pass(exchange, owed, decision.giveBack)
            : await this.#forward(call, exchange, decision.approval)
        } catch (error) {
          return this.#failed(error, call.id, exchange)
        }
    }
  }

  /** Forwards an approved call, once. What came of it is reported even when the client is gone by then. */
  async #forward({ id, args, message }: Call, exchange: Exchange, approval: Approval): Promise<McpAnswer> {
    const { principal, headers, signal } = exchange
    const editedArgs =
      approval.edits === null ? null : (mergePatch(args, JSON.parse(approval.edits) as Json) as JsonObject)
    const ended = new AbortController()
    const key = this.#requestKey(exchange, id)
    const open: OpenCall = { id, key, principal, approval, editedArgs, client: signal, end: () => ended.abort() }
    const owed = this.#owed(id, exchange, open)
    this.#calls.begin(open)
    if (editedArgs !== null && paramHeaders(headers).length > 0) {
      await this.#calls.settle(open, 'not_executed', 'Its arguments are repeated in headers, which cannot be changed.')
      owed.free()
      throw new CountersignError('edits_not_allowed', {
        detail:
          'A person approved this call with changed arguments, which a call that repeats them in headers cannot take.',
        approvalId: approval.id,
      })
    }
    // Without a session the closed connection is how a client cancels; with one it may come back for the answer.
    const reply = await this.#upstream.exchange({
      ...requestOf(exchange),
      fresh: true,
      method: 'POST',
      message: editedArgs === null ? exchange.text : JSON.stringify(withArguments(message, editedArgs)),
      signal: exchange.isStateless ? AbortSignal.any([signal, ended.signal]) : ended.signal,
    })
    switch (reply.type) {
      case 'unreached':
        await this.#calls.settle(open, 'not_executed', `The MCP server could not be reached: ${reply.detail}.`)
        break
      case 'refused': {
        const detail = `The MCP server answered with the status ${reply.status}.`
        await this.#calls.settle(open, hasDoneNothing(reply) ? 'not_executed' : 'unknown', detail)
        break
      }
      case 'lost':
      case 'accepted':
        await this.#calls.settle(open, 'unknown', 'The call was sent, and no answer came: it may have run.')
    }
    return this.#replies.answer(reply, owed)
  }

  #owed(id: RequestId, exchange: Exchange, call: OpenCall | null): Owed {
    const key = this.#requestKey(exchange, id)
    return {
      exchange,
      id,
      call,
      free: () => {
        if (key !== null) this.#ids.free(key)
      },
    }
  }

  /** Null where there are no sessions: there each request is answered on its own connection. */
  #requestKey(exchange: Exchange, id: RequestId): string | null {
    return exchange.session === null ? null : JSON.stringify([this.#replies.bookKey(exchange), id])
  }

  #pendingText({ id, tool }: Call, { traceId }: Exchange, place: { id: string; expiresAt: number }): string {
    const details = {
      detail: 'This call waits for a person, and nobody has decided yet. Nothing was done.',
      approvalId: place.id,
      expiresAt: new Date(place.expiresAt).toISOString(),
    }
    return errorText(id, 'approval_pending', details, {
      traceId,
      data: { tool, instructions: PENDING_INSTRUCTIONS },
    })
  }

  #refusalText(error: unknown, id: RequestId, exchange: Exchange): string {
    const { code, details } = asProblem(error as CountersignError)
    if (isForTheModel(code)) {
      const result = refusal(code, details)
      return resultText(id, exchange.isStateless ? { ...result, resultType: 'complete' } : result)
    }
    if (code === 'internal_error')
      this.#log.error({ err: error, traceId: exchange.traceId, server: this.#server.name }, 'an MCP call failed')
    return errorText(id, code, code === 'internal_error' ? {} : details, exchange)
  }

  /** What went wrong as the answer to the request; a session that is unknown is a status, while there can be one. */
  #failed(error: unknown, id: RequestId, exchange: Exchange, isStreaming = false): McpAnswer {
    if (!isStreaming && error instanceof CountersignError && error.code === 'not_found') throw error
    return { type: 'json', session: exchange.session, text: this.#refusalText(error, id, exchange) }
  }
}

const withArguments = (message: JsonObject, args: JsonObject): JsonObject => ({
  ...message,
  params: { ...(isJsonObject(message.params) ? message.params : {}), arguments: args },
})

/** A server that is not there, or that refuses the message as such. */
const hasDoneNothing = (reply: McpReply): boolean =>
  reply.type === 'unreached' || (reply.type === 'refused' && reply.status < 500)

const ID_IS_TAKEN: McpAnswer = {
  type: 'refused',
  status: 400,
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: null,
    error: { code: -32600, message: 'A request with this id has no answer yet in this session: use another id.' },
  }),
}
