import { Client, type RequestOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { onTestFinished } from 'vitest'
import type { Caller } from './server.ts'

export interface ToolResult {
  isError: boolean
  texts: string[]
}

export interface CallOptions {
  signal?: AbortSignal
  timeout?: number
  onprogress?: (progress: { progress: number; message?: string | undefined }) => void
}

/** An MCP client, of whichever version of the official SDK. */
export interface TestClient {
  tools(): Promise<string[]>
  /** Rejects with the JSON-RPC error, which has `code` and `data`. */
  call(tool: string, args?: Record<string, unknown>, options?: CallOptions): Promise<ToolResult>
  /** The connection breaks, without a word to the server. */
  drop(): Promise<void>
  /** The session ends as the transport says. */
  end(): Promise<void>
  sessionId(): string | undefined
  /** How often the server said that its tools have changed. */
  changes(): number
}

export type Connect = (where: { caller: Caller; server: string } | { command: string[] }) => Promise<TestClient>

const INFO = { name: 'tests', version: '1.0.0' }
/** What the user says when a server asks. */
const ANSWER = { action: 'accept' as const, content: { word: 'please' } }

const addressOf = ({ caller, server }: { caller: Caller; server: string }) => ({
  url: new URL(`${caller.url}/mcp/${server}`),
  requestInit: { headers: { authorization: `Bearer ${caller.secret}` } },
})

const [NODE = ''] = [process.execPath]
/** Engines that are given to the tests are none of a client's business. */
const ENVIRONMENT = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' }

function resultOf(result: unknown): ToolResult {
  const { content, isError } = result as { content: { text?: string }[]; isError?: boolean }
  return { isError: isError ?? false, texts: content.map(({ text = '' }) => text) }
}

/** The second version of the SDK; `stateless`: by revision 2026-07-28. */
const connectV2 =
  (stateless: boolean): Connect =>
  async (where) => {
    const client = new Client(INFO, {
      capabilities: { elicitation: {} },
      ...(stateless ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {}),
    })
    let changes = 0
    client.setRequestHandler('elicitation/create', async () => ANSWER)
    client.setNotificationHandler('notifications/tools/list_changed', () => {
      changes++
    })
    const { url, requestInit } = 'caller' in where ? addressOf(where) : { url: undefined, requestInit: {} }
    const transport =
      'command' in where
        ? new StdioClientTransport({ command: NODE, args: where.command, env: ENVIRONMENT, stderr: 'pipe' })
        : new StreamableHTTPClientTransport(url!, { requestInit })
    await client.connect(transport)
    onTestFinished(() => client.close())
    return {
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: async (name, args = {}, options) =>
        resultOf(await client.callTool({ name, arguments: args }, options as RequestOptions)),
      drop: () => client.close(),
      async end() {
        if ('terminateSession' in transport) await transport.terminateSession()
        await client.close()
      },
      sessionId: () => ('sessionId' in transport ? transport.sessionId : undefined),
      changes: () => changes,
    }
  }

/** The first version of the SDK. */
const connectV1: Connect = async (where) => {
  const client = new ClientV1(INFO, { capabilities: { elicitation: {} } })
  let changes = 0
  client.setRequestHandler(ElicitRequestSchema, async () => ANSWER)
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    changes++
  })
  const { url, requestInit } = 'caller' in where ? addressOf(where) : { url: undefined, requestInit: {} }
  const transport =
    'command' in where
      ? new StdioV1({ command: NODE, args: where.command, env: ENVIRONMENT, stderr: 'pipe' })
      : new HttpV1(url!, { requestInit })
  await client.connect(transport as Parameters<typeof client.connect>[0])
  onTestFinished(() => client.close())
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}, options) =>
      resultOf(await client.callTool({ name, arguments: args }, undefined, options as object)),
    drop: () => client.close(),
    async end() {
      if ('terminateSession' in transport) await transport.terminateSession()
      await client.close()
    },
    sessionId: () => ('sessionId' in transport ? transport.sessionId : undefined),
    changes: () => changes,
  }
}

export const CLIENTS: Record<string, Connect> = { 'SDK 2': connectV2(false), 'SDK 1': connectV1 }
export const connectStateless = connectV2(true)
