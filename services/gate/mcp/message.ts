import { JSONRPCMessageSchema } from '@modelcontextprotocol/core'
import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'
import { CountersignError, ERRORS, type ErrorCode, type ProblemDetails, problem } from '../../../lib/core/errors.ts'

export type RequestId = string | number

/** A message of a client. */
export type Incoming =
  /** A call of a tool: what the gate is for. */
  | { type: 'call'; id: RequestId; tool: string; args: JsonObject; message: JsonObject }
  | { type: 'request'; id: RequestId; message: JsonObject }
  /** `notifications/cancelled`, for the request that it names. */
  | { type: 'cancel'; requestId: RequestId; message: JsonObject }
  /** A notification, or the answer to what the server asked. */
  | { type: 'message'; message: JsonObject }

/** Reads one JSON-RPC message (the MCP transport's body). Throws `invalid_body` for anything else. */
export function readMessage(value: Json): Incoming {
  if (Array.isArray(value))
    throw invalid('Send one JSON-RPC message at a time: batches are not taken (MCP 2025-06-18 removed them).')
  if (!isJsonObject(value) || !JSONRPCMessageSchema.safeParse(value).success)
    throw invalid('The body is no JSON-RPC 2.0 message as MCP has them.')
  refuseLookalikes(value, 'the message')
  const { method, id, params } = value
  if (isJsonObject(params)) refuseLookalikes(params, 'params')
  if (method === undefined) return { type: 'message', message: value }
  if ('result' in value || 'error' in value) throw invalid('The message is a request and an answer at once.')
  const isRequest = typeof id === 'string' || typeof id === 'number'
  if (!isRequest) {
    if (method === 'tools/call') throw invalid('tools/call is a request: it needs an id.')
    const requestId = method === 'notifications/cancelled' && isJsonObject(params) ? params.requestId : undefined
    return typeof requestId === 'string' || typeof requestId === 'number'
      ? { type: 'cancel', requestId, message: value }
      : { type: 'message', message: value }
  }
  if (method !== 'tools/call') return { type: 'request', id, message: value }
  const { name, arguments: args = {} } = isJsonObject(params) ? params : {}
  if (typeof name !== 'string' || name === '' || name.length > MAX_TOOL_NAME)
    throw invalid(`params.name of tools/call is a text of 1 to ${MAX_TOOL_NAME} characters.`)
  if (!isJsonObject(args)) throw invalid('params.arguments of tools/call is an object.')
  return { type: 'call', id, tool: name, args, message: value }
}

/** Keys that decide what a message does. */
const OWN_KEYS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params', 'name', 'arguments', '_meta'])

/** Some servers read keys whatever their case: `Name` beside `name` would be the tool that runs, and not the one judged. */
function refuseLookalikes(object: JsonObject, where: string): void {
  for (const key of Object.keys(object)) {
    const folded = key.normalize('NFKC').toLowerCase()
    if (key !== folded && OWN_KEYS.has(folded))
      throw invalid(`A key of ${where} can be taken for ${folded} and is written in another way.`)
  }
}

const MAX_TOOL_NAME = 256

const invalid = (detail: string): CountersignError => new CountersignError('invalid_body', detail)

/** The metadata of a request, where it has some. */
export const metaOf = ({ params }: JsonObject): JsonObject => {
  const meta = isJsonObject(params) ? params._meta : undefined
  return isJsonObject(meta) ? meta : {}
}

/** Names the protocol's revision in each request since 2026-07-28, which has no sessions. */
export const isStateless = (message: JsonObject): boolean =>
  typeof metaOf(message)['io.modelcontextprotocol/protocolVersion'] === 'string'

export const resultText = (id: RequestId, result: JsonObject): string => JSON.stringify({ jsonrpc: '2.0', id, result })

/** A JSON-RPC error whose `data` is the problem object (RFC 9457). */
export function errorText(
  id: RequestId,
  code: ErrorCode,
  details: ProblemDetails,
  more: { traceId: string; data?: JsonObject },
): string {
  const body = problem(code, details, 'agent', more.traceId)
  const data = {
    ...body,
    ...(details.retryAfter === undefined ? {} : { retryAfter: details.retryAfter }),
    ...more.data,
  }
  const message = details.detail ?? `${ERRORS[code].title}.`
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code: ERRORS[code].rpc, message, data } })
}
