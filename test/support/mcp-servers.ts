import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { onTestFinished } from 'vitest'
import { createTools, type ToolCall } from './mcp-tools.ts'

export interface HttpTools {
  url: string
  calls: ToolCall[]
  requests: { method: string; headers: IncomingMessage['headers'] }[]
  /** How many sessions there are. */
  sessions(): number
  close(): Promise<void>
}

/** The tools over Streamable HTTP with sessions, on loopback; ended with the test. */
export async function startHttpTools({ port = 0 } = {}): Promise<HttpTools> {
  const calls: ToolCall[] = []
  const requests: HttpTools['requests'] = []
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>()
  const server = createServer(async (request, response) => {
    requests.push({ method: request.method ?? '', headers: request.headers })
    const id = request.headers['mcp-session-id']
    const known = typeof id === 'string' ? sessions.get(id) : undefined
    if (id !== undefined && !known) return response.writeHead(404).end()
    if (known) return known.handleRequest(request, response)
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => {
        sessions.set(session, transport)
      },
      onsessionclosed: (session) => {
        sessions.delete(session)
      },
    })
    await createTools((call) => calls.push(call)).connect(transport)
    await transport.handleRequest(request, response)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  onTestFinished(close)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  return { url, calls, requests, sessions: () => sessions.size, close }
}

/** The tools without sessions, as revision 2026-07-28 has them; ended with the test. */
export async function startStatelessTools(): Promise<Pick<HttpTools, 'url' | 'calls'>> {
  const calls: ToolCall[] = []
  const handler = createMcpHandler(() => createTools((call) => calls.push(call)))
  const handle = toNodeHandler(handler)
  const server = createServer((request, response) => void handle(request as Parameters<typeof handle>[0], response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    await handler.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, calls }
}

/** The tools as a command, with what its processes were called with. */
export function stdioTools(): { command: string; args: string[]; calls: () => ToolCall[] } {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-mcp-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'calls.jsonl')
  const script = fileURLToPath(new URL('./mcp-stdio-server.ts', import.meta.url))
  return {
    command: process.execPath,
    args: ['--import', fileURLToPath(import.meta.resolve('tsx')), script, file],
    calls: () =>
      existsSync(file)
        ? readFileSync(file, 'utf8')
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => JSON.parse(line) as ToolCall)
        : [],
  }
}
