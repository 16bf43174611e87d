import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { onTestFinished } from 'vitest'

/** One request as it came, signature and all. */
export interface Received {
  path: string
  headers: Record<string, string>
  text: string
  body: { type: string; timestamp: string; data: Record<string, unknown>; [key: string]: unknown }
}

/** What the receiver does with a request; without anything it says 204. */
export interface Reply {
  status?: number
  headers?: Record<string, string>
  text?: string
  /** Never answers. */
  hang?: boolean
  /** Cuts the connection. */
  reset?: boolean
  /** Says what is no HTTP. */
  nonsense?: boolean
  /** Answers when this resolves. */
  after?: Promise<unknown>
}

/** A real receiver of webhooks on loopback that does as it is told. */
export interface WebhookReceiver {
  url: string
  port: number
  received: Received[]
  /** The most requests that it had open at one time. */
  mostOpen: number
  /** What it does from now on; `count` is 1 for the first request of this id. */
  reply: (received: Received, count: number) => Reply
  /** Requests of this type, in the order in which they came. */
  of(type: string): Received[]
  /** Resolves as soon as it holds. */
  until(holds: () => boolean, what: string, waitMs?: number): Promise<void>
  close(): Promise<void>
}

const WAIT_MS = 30_000

export async function startReceiver(
  options: { port?: number; tls?: { key: string; cert: string }; reply?: WebhookReceiver['reply'] } = {},
): Promise<WebhookReceiver> {
  const { port = 0, tls, reply = () => ({}) } = options
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  const counts = new Map<string, number>()
  let open = 0

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    open += 1
    receiver.mostOpen = Math.max(receiver.mostOpen, open)
    response.once('close', () => {
      open -= 1
    })
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const headers = request.headers as Record<string, string>
    const got: Received = { path: request.url ?? '', headers, text, body: JSON.parse(text) }
    receiver.received.push(got)
    const id = headers['webhook-id'] ?? ''
    const count = (counts.get(id) ?? 0) + 1
    counts.set(id, count)
    const { status = 204, headers: more = {}, text: body, hang, reset, nonsense, after } = receiver.reply(got, count)
    for (const wake of waiting) wake()
    if (hang) return
    if (reset) request.socket.resetAndDestroy()
    else if (nonsense) request.socket.end('this is no HTTP\r\n\r\n')
    else {
      await after
      response.writeHead(status, more).end(body)
    }
  }

  const listener = (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response).catch(() => request.socket.destroy())
  }
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const bound = (server.address() as AddressInfo).port
  const receiver: WebhookReceiver = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${bound}/hook`,
    port: bound,
    received: [],
    mostOpen: 0,
    reply,
    of: (type) => receiver.received.filter(({ body }) => body.type === type),
    async until(holds, what, waitMs = WAIT_MS) {
      const deadline = AbortSignal.timeout(waitMs)
      while (!holds()) {
        if (deadline.aborted) throw new Error(`waited for ${what}; got ${receiver.received.length} requests`)
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
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
  onTestFinished(() => receiver.close())
  return receiver
}

/** A secret that is good for tests alone. */
export const WEBHOOK_SECRET = `whsec_${Buffer.from('a secret of tests, 32 bytes long').toString('base64')}`

/** What the reference library says of a request; throws when it does not accept the signature. */
export const verified = ({ text, headers }: Received, secret = WEBHOOK_SECRET): unknown =>
  new Webhook(secret).verify(text, headers)
