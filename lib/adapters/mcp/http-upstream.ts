import { createParser } from 'eventsource-parser'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import type { McpEvent, McpReply, McpRequest, McpUpstream } from '../../ports/mcp-upstream.ts'
import { MAX_MESSAGE_BYTES, MAX_REFUSAL_BYTES } from './limits.ts'

const CONNECT_WITHIN_MS = 10_000
/** The gate ends what takes too long: streams may be silent for as long as a person waits. */
const NO_TIMEOUT = 0

/** An MCP server that speaks Streamable HTTP. Redirects are not followed: they would carry the credential elsewhere. */
export function createHttpUpstream(settings: { url: string; headers: Readonly<Record<string, string>> }): McpUpstream {
  const { origin, pathname, search } = new URL(settings.url)
  /** Errors of connections that were never there, so that nothing was sent. */
  const neverConnected = new WeakSet<object>()
  // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
  const connector = buildConnector({ timeout: CONNECT_WITHIN_MS, rejectUnauthorized: true })
  const agentOptions: Agent.Options = {
    headersTimeout: NO_TIMEOUT,
    bodyTimeout: NO_TIMEOUT,
    connect: (options, callback) =>
      connector(options, (...[error, socket]: Parameters<buildConnector.Callback>) => {
        if (error) neverConnected.add(error)
        // The two are a union that a spread keeps and two names lose.
        if (error) callback(error, null)
        else if (socket) callback(null, socket)
      }),
  }
  const shared = new Agent(agentOptions)
  const fresh = new Agent({ ...agentOptions, pipelining: 0 })

  return {
    async exchange(request) {
      try {
        const response = await (request.fresh ? fresh : shared).request({
          origin,
          path: `${pathname}${search}`,
          method: request.method,
          headers: headersOf(request, settings.headers),
          body: request.message,
          signal: request.signal,
        })
        return await read(response)
      } catch (error) {
        const detail = reasonOf(error)
        const neverSent = typeof error === 'object' && error !== null && neverConnected.has(error)
        return { type: neverSent ? 'unreached' : 'lost', detail }
      }
    },
    async close() {
      await Promise.all([shared.destroy(), fresh.destroy()])
    },
  }
}

const headersOf = (
  { method, session, headers, message }: McpRequest,
  configured: Readonly<Record<string, string>>,
): Record<string, string> => ({
  ...configured,
  ...headers,
  accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
  ...(message === null ? {} : { 'content-type': 'application/json' }),
  ...(session === null ? {} : { 'mcp-session-id': session }),
})

async function read({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<McpReply> {
  const session = typeof headers['mcp-session-id'] === 'string' ? headers['mcp-session-id'] : null
  if (statusCode < 200 || statusCode > 299)
    return { type: 'refused', status: statusCode, body: (await textOf(body, MAX_REFUSAL_BYTES)) ?? '' }
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]
    ?.trim()
    .toLowerCase()
  if (statusCode === 200 && type === 'text/event-stream')
    return { type: 'messages', session, streamed: true, events: eventsOf(body) }
  if (statusCode === 200 && type === 'application/json') {
    const data = await textOf(body, MAX_MESSAGE_BYTES)
    if (data === undefined) return { type: 'lost', detail: `its answer is longer than ${MAX_MESSAGE_BYTES} bytes` }
    return { type: 'messages', session, streamed: false, events: once({ data }) }
  }
  await body.dump()
  return { type: 'accepted', session }
}

async function* once(event: McpEvent): AsyncGenerator<McpEvent> {
  yield event
}

/** The body as text; undefined when it is longer. */
async function textOf(body: AsyncIterable<Uint8Array>, limit: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > limit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The events of a stream (WHATWG server-sent events), each at most MAX_MESSAGE_BYTES long. */
async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<McpEvent> {
  const decoder = new TextDecoder('utf-8')
  let found: McpEvent[] = []
  let retryMs: number | undefined
  let failure: Error | undefined
  const parser = createParser({
    maxBufferSize: MAX_MESSAGE_BYTES,
    onEvent: ({ data, event, id }) => {
      if (event !== undefined && event !== 'message') return
      found.push({ data, ...(id === undefined ? {} : { id }), ...(retryMs === undefined ? {} : { retryMs }) })
      retryMs = undefined
    },
    onRetry: (ms) => {
      retryMs = ms
    },
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded')
        failure = new Error(`one of its messages is longer than ${MAX_MESSAGE_BYTES} bytes`)
    },
  })
  const chunks = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await chunks.next().catch((error: unknown) => {
        throw new Error(reasonOf(error))
      })
      if (next.done) return
      parser.feed(decoder.decode(next.value, { stream: true }))
      yield* found
      found = []
      if (failure) throw failure
    }
  } finally {
    await chunks.return?.()
  }
}

/** What went wrong, without an address: that may hold what others should not read. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'the connection failed'
  if (error.name === 'AbortError') return 'the exchange was ended'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return code === undefined ? 'the connection failed' : `the connection failed (${code})`
}
