import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Caller } from './server.ts'

export const HELLO = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'tests', version: '1' } },
}
export const ACCEPT = { accept: 'application/json, text/event-stream' }

export interface Raw {
  status: number
  headers: Headers
  text: string
  /** The first message. */
  message: Record<string, unknown> & { error?: { code: number; message: string } }
}

/** One message as it is, past any client. */
export async function raw(
  { url, secret }: Caller,
  path: string,
  body: unknown,
  { headers = {}, method = 'POST' }: { headers?: Record<string, string>; method?: string } = {},
): Promise<Raw> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...ACCEPT,
      authorization: `Bearer ${secret}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = /^data: (\{.*)$/m.exec(text)?.[1] ?? text
  const message = json.startsWith('{') ? (JSON.parse(json) as Raw['message']) : {}
  return { status: response.status, headers: response.headers, text, message }
}

export const call = (tool: string, args: object, id: number | string = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: tool, arguments: args },
})

/** A server that says what the test wants, byte for byte. */
export async function startScripted(
  answer: (message: Record<string, unknown> | undefined, request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ url: string; messages: Record<string, unknown>[] }> {
  const messages: Record<string, unknown>[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const message = body === '' ? undefined : (JSON.parse(body) as Record<string, unknown>)
    if (message) messages.push(message)
    answer(message, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, messages }
}

export const json = (response: ServerResponse, body: unknown, headers: Record<string, string> = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
