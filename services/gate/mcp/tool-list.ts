import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { McpUpstream } from '../../../lib/ports/mcp-upstream.ts'
import { metaOf } from './message.ts'
import { type Exchange, requestOf } from './replies.ts'

const MAX_PAGES = 20
const WITHIN_MS = 10_000

/**
 * Asks a server for its tools in the client's session, before a call that the client made without asking. What is not
 * learned in time stays unknown, and rules count that against the call.
 */
export async function listTools(deps: {
  upstream: McpUpstream
  clock: Clock
  exchange: Exchange
  /** The call that is about to be judged. */
  message: JsonObject
  learn: (tools: readonly Json[]) => void
}): Promise<void> {
  const { upstream, clock, exchange, message, learn } = deps
  const late = new AbortController()
  const cancel = clock.after(WITHIN_MS, () => late.abort())
  const signal = AbortSignal.any([exchange.signal, late.signal])
  const { progressToken: _, ...meta } = metaOf(message)
  const envelope = exchange.isStateless ? { _meta: meta } : {}
  const headers = listHeaders(exchange.headers)
  try {
    let cursor: Json | undefined
    for (let page = 1; page <= MAX_PAGES; page++) {
      const id = `countersign-tools-${String(message.id)}-${page}`
      const params = { ...envelope, ...(cursor === undefined ? {} : { cursor }) }
      const text = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list', params })
      const reply = await upstream.exchange({
        ...requestOf(exchange),
        method: 'POST',
        headers,
        message: text,
        signal,
      })
      if (reply.type !== 'messages') return
      let result: JsonObject | undefined
      for await (const { data } of reply.events) {
        const answer = data === '' ? undefined : (JSON.parse(data) as Json)
        if (!isJsonObject(answer) || answer.id !== id) continue
        if (isJsonObject(answer.result)) result = answer.result
        break
      }
      if (!result || !Array.isArray(result.tools)) return
      learn(result.tools)
      cursor = result.nextCursor
      if (typeof cursor !== 'string') return
    }
  } catch {
    // Not learned: unknown.
  } finally {
    cancel()
  }
}

/** The call's own headers, as a list would have them. */
function listHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => !/^mcp-(method|name|param-.*)$/.test(name))
  return Object.fromEntries([...kept, ...(headers['mcp-method'] === undefined ? [] : [['mcp-method', 'tools/list']])])
}
