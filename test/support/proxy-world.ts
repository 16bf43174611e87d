import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { test } from 'vitest'
import type { ApprovalView } from '../../lib/core/view.ts'
import { type Caller, type Problem, startWorld, type World } from './server.ts'
import { startUpstream, type UpstreamServer } from './upstream-server.ts'

/** Rules for each situation that the scenarios of the proxy need. */
export const PROXY_POLICY = `
version: 1
default: allow
settings: { timeout: 1m, denialMemory: 1m }
rules:
  - { id: refunds, match: { path: "/refunds/**" }, action: require_approval, risk: high }
  - { id: refunds-itself, match: { path: "/refunds" }, action: require_approval, risk: high }
  - { id: quick, match: { path: "/quick" }, action: require_approval, approval: { timeout: 1s } }
  - { id: kept, match: { path: "/kept/**" }, action: require_approval, approval: { onDisconnect: keep } }
  - { id: never, match: { path: "/never/**" }, action: deny }
  - { id: large, match: { path: "/charges" }, when: [{ path: body.amount, gt: 1000 }], action: require_approval }
  - { id: sockets, match: { path: "/sockets/held" }, action: require_approval }
`

export interface ProxyAnswer {
  status: number
  message: string
  headers: IncomingHttpHeaders
  rawHeaders: string[]
  body: Buffer
  json: Problem & { status?: string | number; retryable?: boolean; summary?: string; reason?: string }
  trailers: NodeJS.Dict<string>
}

export interface Sent {
  answer: Promise<ProxyAnswer>
  /** Leaves, as a process that ends does. */
  leave(): void
}

type Body = string | Buffer | ((outgoing: NodeJS.WritableStream) => void)
export interface CallOptions {
  body?: Body
  headers?: RequestOptions['headers']
  key?: Record<string, string>
}

/** Sends a call byte for byte as it is given: no client normalises it. */
export function sendRaw(base: string, method: string, path: string, options: CallOptions = {}): Sent {
  const { hostname, port } = new URL(base)
  const { body } = options
  const outgoing = request({
    hostname,
    port,
    method,
    path,
    agent: false,
    headers: {
      ...(typeof body === 'string' || Buffer.isBuffer(body) ? { 'content-length': Buffer.byteLength(body) } : {}),
      ...(options.headers as Record<string, string>),
    },
  })
  const answer = new Promise<ProxyAnswer>((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', (incoming: IncomingMessage) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () => {
        const bytes = Buffer.concat(chunks)
        const isJson = /json/.test(incoming.headers['content-type'] ?? '') && bytes.length > 0
        resolve({
          status: incoming.statusCode ?? 0,
          message: incoming.statusMessage ?? '',
          headers: incoming.headers,
          rawHeaders: incoming.rawHeaders,
          body: bytes,
          json: isJson ? JSON.parse(bytes.toString('utf8')) : {},
          trailers: incoming.trailers,
        })
      })
    })
  })
  answer.catch(() => undefined)
  if (typeof body === 'function') body(outgoing)
  else outgoing.end(body)
  return { answer, leave: () => outgoing.destroy() }
}

export interface ProxyWorld extends World {
  upstream: UpstreamServer
  /** Sends a call to `/proxy/{path}` with the agent's key. */
  send(method: string, path: string, options?: CallOptions): Sent
  call(method: string, path: string, options?: CallOptions): Promise<ProxyAnswer>
  /** The one pending approval. */
  asked(): Promise<ApprovalView>
}

export const bearer = ({ secret }: Caller) => ({ authorization: `Bearer ${secret}` })

/** A real server with an upstream `api` beside it, whose credential the agent does not have. */
export async function startProxyWorld(
  options: { policy?: string; config?: (upstream: UpstreamServer) => string; path?: string } = {},
) {
  const upstream = await startUpstream()
  const world = await startWorld({
    policy: options.policy ?? PROXY_POLICY,
    config: `upstreams:
  api:
    url: ${upstream.url}${options.path ?? ''}
    headers: { authorization: "Bearer upstream-credential-42", x-added: by the gate }
${options.config?.(upstream) ?? ''}`,
  })
  const send: ProxyWorld['send'] = (method, path, { headers, key, ...more } = {}) =>
    sendRaw(world.url, method, `/proxy/${path}`, {
      ...more,
      headers: { ...(key ?? bearer(world.agent)), ...(headers as Record<string, string>) },
    })
  const proxyWorld: ProxyWorld = {
    ...world,
    upstream,
    send,
    call: (method, path, more) => send(method, path, more).answer,
    asked: async () => (await world.admin.pending())[0] as ApprovalView,
  }
  return proxyWorld
}

/** An end-to-end test of the proxy that reads as a sentence. */
export function proxied(
  name: string,
  run: (world: ProxyWorld) => Promise<void>,
  options: Parameters<typeof startProxyWorld>[0] = {},
) {
  test(name, async () => run(await startProxyWorld(options)))
}
