/** One exchange with an MCP server, as the Streamable HTTP transport of MCP has it. */
export interface McpRequest {
  /** POST carries a message, GET listens for what the server says by itself, DELETE ends the session. */
  method: 'POST' | 'GET' | 'DELETE'
  /** Who asks, the same text for the same agent: what a server has room for is shared between agents. */
  agent: string
  /** As the server gave it; null before there is one, and for servers without sessions. */
  session: string | null
  /** What the transport says of the message, names in lower case: `mcp-protocol-version`, `last-event-id` … */
  headers: Readonly<Record<string, string>>
  /** One JSON-RPC message as JSON text; null but for POST. */
  message: string | null
  /** Goes on a new connection: one that was idle may be closing at the other end, and what meets that is lost. */
  fresh: boolean
  /** Ends the exchange. What the server does by then goes on. */
  signal: AbortSignal
}

/** One event of the server: a message, or none where it only names a place to resume at. */
export interface McpEvent {
  /** JSON text of a JSON-RPC message; empty where there is none. */
  data: string
  /** Where a client that lost the stream can resume, with `last-event-id`. */
  id?: string
  /** How many milliseconds a client should wait before it comes back. */
  retryMs?: number
}

export type McpReply =
  /** `streamed`: as they come, else exactly one. Iterating rejects, with words for the client, when it breaks off or is too much. */
  | { type: 'messages'; session: string | null; streamed: boolean; events: AsyncIterable<McpEvent> }
  /** Taken; nothing to say. */
  | { type: 'accepted'; session: string | null }
  /** The server's own refusal, as an HTTP status, with at most 64 KiB of what it says. */
  | { type: 'refused'; status: number; body: string }
  /** Nothing was sent. */
  | { type: 'unreached'; detail: string }
  /** It was sent, and no answer came: it may have been executed. */
  | { type: 'lost'; detail: string }

/** An MCP server behind the gate. Nothing is ever sent twice. */
export interface McpUpstream {
  /** Never rejects. */
  exchange(request: McpRequest): Promise<McpReply>
  close(): Promise<void>
}
