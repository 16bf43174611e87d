import { createHash } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'

/** A call as it came over the wire. */
export interface Received {
  method: string
  url: string
  headers: IncomingHttpHeaders
  rawHeaders: string[]
  /** The body, up to a MiB; what is longer is known by its length and digest alone. */
  body: Buffer
  bytes: number
  sha256: string
  /** True when all of it came. */
  complete: boolean
}

export interface UpstreamServer {
  url: string
  port: number
  /** How many connections were made to it. */
  connections: number
  /** Calls whose head came. */
  begun: number
  /** Calls that came to their end. */
  received: Received[]
  /** How it answers from now on; the body has been read, unless `early` is set. */
  answer: (request: IncomingMessage, response: ServerResponse, received: Received) => void
  /** Set, it answers as soon as the head is there. */
  early: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  /** What it says on a WebSocket; undefined refuses them with 426. */
  onSocket: ((socket: WebSocket, request: IncomingMessage) => void) | undefined
  /** Resolves when so many calls have come to their end. */
  calls(count: number): Promise<Received[]>
  close(): Promise<void>
}

const KEPT_BYTES = 1024 * 1024

/** A real upstream on loopback that records exactly what it got; ended with the test. */
export async function startUpstream(options: { port?: number } = {}): Promise<UpstreamServer> {
  const waiting = new Set<() => void>()
  const sockets = new Set<Socket>()
  const webSockets = new WebSocketServer({ noServer: true })
  const upstream: UpstreamServer = {
    url: '',
    port: 0,
    connections: 0,
    begun: 0,
    received: [],
    answer: (_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end('{"ok":true}')
    },
    early: undefined,
    onSocket: undefined,
    async calls(count) {
      const deadline = AbortSignal.timeout(20_000)
      while (upstream.received.length < count) {
        if (deadline.aborted) throw new Error(`waited for ${count} calls, got ${upstream.received.length}`)
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake)
            deadline.removeEventListener('abort', wake)
            resolve()
          }
          waiting.add(wake)
          deadline.addEventListener('abort', wake)
        })
      }
      return upstream.received
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  const server = createServer((request, response) => {
    upstream.begun++
    if (upstream.early) return upstream.early(request, response)
    const chunks: Buffer[] = []
    const digest = createHash('sha256')
    let bytes = 0
    const record = () => {
      const { method = '', url = '', headers, rawHeaders, complete } = request
      const received = {
        ...{ method, url, headers, rawHeaders, complete, bytes },
        body: Buffer.concat(chunks),
        sha256: digest.copy().digest('hex'),
      }
      upstream.received.push(received)
      for (const wake of waiting) wake()
      return received
    }
    request.on('data', (chunk: Buffer) => {
      digest.update(chunk)
      if (bytes < KEPT_BYTES) chunks.push(chunk)
      bytes += chunk.length
    })
    request.on('end', () => upstream.answer(request, response, record()))
    request.on('error', record)
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upstream.begun++
    const { method = '', url = '', headers, rawHeaders } = request
    const body = Buffer.alloc(0)
    upstream.received.push({ method, url, headers, rawHeaders, body, bytes: 0, sha256: '', complete: true })
    for (const wake of waiting) wake()
    if (!upstream.onSocket) {
      socket.end('HTTP/1.1 426 Upgrade Required\r\nX-Why: none here\r\nContent-Length: 2\r\n\r\nno')
      return
    }
    webSockets.handleUpgrade(request, socket, head, (client) => upstream.onSocket?.(client, request))
  })
  server.on('connection', (socket: Socket) => {
    upstream.connections++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  upstream.port = (server.address() as AddressInfo).port
  upstream.url = `http://127.0.0.1:${upstream.port}`
  onTestFinished(() => upstream.close().catch(() => undefined))
  return upstream
}
