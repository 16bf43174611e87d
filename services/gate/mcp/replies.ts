import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import type { McpEvent, McpReply, McpRequest } from '../../../lib/ports/mcp-upstream.ts'
import type { McpServer } from '../../../lib/runtime/config/mcp.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Judge } from '../judge.ts'
import { eventText, KEEP_ALIVE, paced } from './event-stream.ts'
import { errorText, type RequestId } from './message.ts'
import type { OpenCall, OpenCalls } from './open-calls.ts'
import { annotationsIn, type ToolBook } from './tool-book.ts'

/** One exchange of a client, with the session by the server's own id. */
export interface Exchange {
  principal: Principal
  session: string | null
  headers: Readonly<Record<string, string>>
  /** By revision 2026-07-28 or later, which has no sessions: a closed connection cancels. */
  isStateless: boolean
  /** The message as the client wrote it. */
  text: string
  /** The approval that the call names, or null. */
  named: string | null
  /** The autonomy level that the client says the session has, or null. */
  autonomy: string | null
  acceptsStream: boolean
  /** Aborts when the client's connection is gone. */
  signal: AbortSignal
  traceId: string
}

export type McpAnswer =
  | { type: 'json'; session: string | null; text: string }
  | { type: 'stream'; session: string | null; chunks: AsyncIterable<string> }
  | { type: 'accepted'; session: string | null }
  /** The server's own word, where the transport gives it a meaning. */
  | { type: 'refused'; status: number; body: string }

/** What is owed to whom when a server answers. */
export interface Owed {
  exchange: Exchange
  /** The request that waits for an answer; null where none does. */
  id: RequestId | null
  /** The approved call that was forwarded, or whose stream is resumed; null where there is none. */
  call: OpenCall | null
  /** The request has its answer, or never came to the server. */
  free: () => void
}

export const NOTHING_OWED = { id: null, call: null, free: () => {} }

/** What every request to the server says of its exchange. */
export const requestOf = ({
  principal,
  session,
  headers,
}: Exchange): Omit<McpRequest, 'method' | 'message' | 'signal'> => ({
  agent: JSON.stringify([principal.tenant, principal.id]),
  session,
  headers,
  fresh: false,
})

/** Clients give up after a minute of silence. */
export const KEEP_ALIVE_MS = 10_000

/**
 * What a server says, on its way to the client: everything passes as it is, but tools that are always denied are left out
 * of lists, and answers to approved calls go on record.
 */
export class Replies {
  readonly #server: McpServer
  readonly #judge: Judge
  readonly #calls: OpenCalls
  readonly #book: ToolBook
  readonly #clock: Clock
  readonly #log: Logger

  constructor(deps: {
    server: McpServer
    judge: Judge
    calls: OpenCalls
    book: ToolBook
    clock: Clock
    log: Logger
  }) {
    this.#server = deps.server
    this.#judge = deps.judge
    this.#calls = deps.calls
    this.#book = deps.book
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** What is known of tools is known of one session. */
  bookKey({ principal, session }: Pick<Exchange, 'principal' | 'session'>): string {
    return JSON.stringify([this.#server.name, principal.tenant, principal.id, session])
  }

  /** Rejects where there is no answer to pass. */
  async answer(reply: McpReply, owed: Owed): Promise<McpAnswer> {
    switch (reply.type) {
      case 'messages':
        if (reply.streamed) {
          const chunks = this.#chunks(reply.events, owed)
          const paces = { clock: this.#clock, everyMs: KEEP_ALIVE_MS, idle: () => KEEP_ALIVE }
          return { type: 'stream', session: reply.session, chunks: paced(chunks, paces) }
        }
        for await (const { data } of reply.events) {
          const { text } = await this.#heard(data, owed)
          if (owed.call && owed.id !== null)
            await this.#calls.settle(owed.call, 'unknown', 'The answer was none to this call.')
          return { type: 'json', session: reply.session, text }
        }
        throw failed('It said nothing.')
      case 'accepted':
        if (owed.id !== null) throw failed('It took the message and gave no answer; what was asked may have run.')
        return { type: 'accepted', session: reply.session }
      case 'refused':
        owed.free()
        return this.#refused(reply, owed)
      case 'unreached':
        owed.free()
        throw new CountersignError('upstream_unreachable', {
          detail: `The MCP server could not be reached: ${reply.detail}. Nothing was done.`,
        })
      case 'lost':
        throw failed(`It has the message, and gave no answer: ${reply.detail}. What was asked may have run.`)
    }
  }

  #refused({ status, body }: Extract<McpReply, { type: 'refused' }>, { exchange, id }: Owed): McpAnswer {
    const isMeant = status === 400 || status === 405 || status === 409
    if (status === 404 && exchange.session !== null)
      throw new CountersignError('not_found', 'The session is over at the MCP server. Initialize a new one.')
    if (status === 429)
      throw new CountersignError('rate_limited', {
        detail: 'The MCP server takes no more at the moment.',
        retryAfter: 5,
      })
    // A client that meets a revision it does not know reads the server's own words.
    if (isMeant && (id === null || isJson(body))) return { type: 'refused', status, body }
    throw failed(`It answered with the status ${status}.`)
  }

  /** The server's events as the client gets them. An answer that never comes is made up for by an error. */
  async *#chunks(events: AsyncIterable<McpEvent>, owed: Owed): AsyncGenerator<string> {
    const iterator = events[Symbol.asyncIterator]()
    const { id, call, exchange } = owed
    let isOver = false
    let isAnswered = id === null
    let isResumable = false
    let reason: string | undefined
    try {
      for (;;) {
        const next = await iterator.next().catch((error: unknown) => {
          reason = error instanceof Error ? error.message : undefined
          return { done: true as const, value: undefined }
        })
        if (next.done) break
        const event = next.value
        if (this.#isKept(event, owed)) isResumable = true
        if (event.data === '') {
          yield eventText(event)
          continue
        }
        const heard = await this.#heard(event.data, owed)
        isAnswered ||= heard.isAnswer
        yield eventText({ ...event, data: heard.text })
      }
      isOver = true
      if (isAnswered || isResumable || id === null) return
      if (call) await this.#calls.settle(call, 'unknown', 'The answer broke off: the call may have run.')
      const why = reason === undefined ? '' : ` (${reason})`
      const detail = `The MCP server ended before it had answered${why}; what was asked may have run.`
      yield eventText({ data: errorText(id, 'upstream_failed', { detail }, exchange) })
    } finally {
      if (!isOver && call && id !== null && this.#calls.isOpen(call))
        void this.#readOn(iterator, call, owed, isResumable)
      else if (!isOver) iterator.return?.(undefined).catch(() => {})
    }
  }

  /** The client is gone, and its approved call runs: what comes of it goes on record. */
  async #readOn(iterator: AsyncIterator<McpEvent>, call: OpenCall, owed: Owed, wasResumable: boolean): Promise<void> {
    let isResumable = wasResumable
    try {
      while (this.#calls.isOpen(call)) {
        const next = await iterator.next()
        if (next.done) break
        if (this.#isKept(next.value, owed)) isResumable = true
        if (next.value.data !== '') await this.#heard(next.value.data, owed)
      }
    } catch (error) {
      this.#log.debug({ err: error, server: this.#server.name }, 'an answer that nobody waits for broke off')
    } finally {
      if (!isResumable)
        await this.#calls.settle(call, 'unknown', 'The client left, and the answer broke off: the call may have run.')
      await iterator.return?.(undefined)
    }
  }

  /** The client can resume the stream from this event on. */
  #isKept(event: McpEvent, { call, exchange }: Owed): boolean {
    if (event.id === undefined || exchange.session === null) return false
    if (call) this.#calls.keep(this.bookKey(exchange), event.id, call)
    return true
  }

  /** One event of the server: what it tells is learned, tools that are denied are left out, answers are settled. */
  async #heard(data: string, owed: Owed): Promise<{ text: string; isAnswer: boolean }> {
    let value: Json
    try {
      value = JSON.parse(data) as Json
    } catch {
      return { text: data, isAnswer: false }
    }
    const messages = Array.isArray(value) ? value : [value]
    let isAnswer = false
    let isChanged = false
    const passed: Json[] = []
    for (const message of messages) {
      const heard = isJsonObject(message) ? await this.#heardMessage(message, owed) : message
      isAnswer ||= isJsonObject(message) && !('method' in message) && owed.id !== null && message.id === owed.id
      isChanged ||= heard !== message
      passed.push(heard)
    }
    if (isAnswer) owed.free()
    if (!isChanged) return { text: data, isAnswer }
    return { text: JSON.stringify(Array.isArray(value) ? passed : passed[0]), isAnswer }
  }

  async #heardMessage(message: JsonObject, { exchange, call }: Owed): Promise<JsonObject> {
    const key = this.bookKey(exchange)
    if (message.method === 'notifications/tools/list_changed') this.#book.forget(key)
    const { id, result } = message
    if ('method' in message || (typeof id !== 'string' && typeof id !== 'number')) return message
    if (call && id === call.id) return this.#calls.answered(call, message)
    if (!isJsonObject(result) || !Array.isArray(result.tools)) return message
    this.#book.learn(key, result.tools)
    const tools = result.tools.filter((tool) => this.#isShown(tool, exchange))
    return tools.length === result.tools.length ? message : { ...message, result: { ...result, tools } }
  }

  #isShown(tool: Json, { principal }: Exchange): boolean {
    if (!isJsonObject(tool) || typeof tool.name !== 'string') return false
    const { name: server, trusted } = this.#server
    const mcp = { server, tool: tool.name, annotations: annotationsIn(tool), trusted }
    return !this.#judge.isAlwaysDenied({ kind: 'mcp', mcp, agent: principal, context: {} })
  }
}

/** The server has the message; what became of it is not known, or known to be nothing good. */
export const failed = (detail: string): CountersignError =>
  new CountersignError('upstream_failed', `The MCP server failed. ${detail}`)

function isJson(text: string): boolean {
  try {
    return isJsonObject(JSON.parse(text) as Json)
  } catch {
    return false
  }
}
