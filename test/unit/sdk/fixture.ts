import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import type { ApprovalView } from '../../../clients/sdk/index.ts'

export interface Received {
  method: string
  url: URL
  headers: IncomingMessage['headers']
  body: unknown
}

/** Answers one request, or leaves it open by returning nothing. */
export type Responder = (request: Received, response: ServerResponse) => Reply | undefined | Promise<Reply | undefined>

export interface Reply {
  status?: number
  headers?: Record<string, string>
  body?: unknown
}

/** A real server on loopback that keeps what it received; closed with the test. */
export async function serve(respond: Responder) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const entry: Received = {
      method: request.method ?? '',
      url: new URL(request.url ?? '/', 'http://loopback'),
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
    received.push(entry)
    const reply = await respond(entry, response)
    if (!reply) return
    const { status = 200, headers = {}, body } = reply
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  onTestFinished(close)
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received, close }
}

/** Answers the requests in turn; one more than expected fails loudly. */
export function inTurn(...replies: (Reply | Responder)[]): Responder {
  let turn = 0
  return (request, response) => {
    const reply = replies[turn++] ?? { status: 418, body: problem('too_many_requests_for_this_test', 418) }
    return typeof reply === 'function' ? reply(request, response) : reply
  }
}

export const problem = (code: string, status: number, more: Record<string, unknown> = {}) => ({
  type: `urn:countersign:problem:${code.replaceAll('_', '-')}`,
  title: code,
  status,
  code,
  retryable: false,
  ...more,
})

export const refusal = (code: string, status: number, more: Record<string, unknown> = {}): Reply => ({
  status,
  headers: { 'content-type': 'application/problem+json' },
  body: problem(code, status, more),
})

export const approvalId = (number: number) => `apr_${String(number).padStart(26, '0')}`

export const held = (more: Record<string, string> = {}): Reply => ({
  status: 202,
  headers: { 'retry-after': '0', ...more },
  body: {
    approvalId: approvalId(1),
    status: 'pending',
    expiresAt: '2030-01-01T00:00:00.000Z',
    summary: 'Bash: rm -rf ./build',
  },
})

export const allow = (args: object, more: Record<string, unknown> = {}): Reply => ({
  body: { effect: 'allow', approvalId: approvalId(1), args, rule: 'r', ...more },
})

export function view(number: number, more: Partial<ApprovalView> = {}): ApprovalView {
  return {
    id: approvalId(number),
    tenant: 'default',
    status: 'pending',
    agent: { id: 'key_1', name: 'builder' },
    action: {
      kind: 'tool',
      tool: 'Bash',
      summary: `Bash: rm -rf ./build-${number}`,
      preview: '{"command":"rm -rf ./build"}',
      previewTruncated: false,
      fingerprint: 'f'.repeat(64),
    },
    rule: { id: 'destructive', revision: 'r1', ids: ['destructive'], why: ['deletes recursively'] },
    risk: 'high',
    approvers: [],
    requirements: [],
    threshold: { approve: 1, deny: 1 },
    reasonRequired: [],
    votes: [],
    decidedBy: [],
    requestedAt: '2029-12-31T23:55:00.000Z',
    expiresAt: '2030-01-01T00:00:00.000Z',
    version: 1,
    ...more,
  }
}
