import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Received<T> {
  method: string
  path: string
  headers: IncomingHttpHeaders
  bytes: number
  body: T
}

export interface Reply {
  status?: number
  headers?: Record<string, string>
  body?: unknown
}

export interface JsonReceiver<T> {
  url: string
  received: Received<T>[]
  /** What it answers from now on; `'nothing'` never answers, `'hang up'` ends the connection. */
  reply: Reply | 'nothing' | 'hang up' | ((request: Received<T>) => Reply)
  /** The request of this number (1 is the first), now or as soon as it comes. */
  request(count: number): Promise<Received<T>>
}

/** A real HTTP server on loopback that takes JSON and fails by order, ended with the test. */
export async function startJsonReceiver<T>(reply: JsonReceiver<T>['reply'] = {}): Promise<JsonReceiver<T>> {
  const waiting = new Set<() => void>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const raw = Buffer.concat(chunks)
      const received = { method, path: url, headers, bytes: raw.length, body: JSON.parse(raw.toString('utf8')) as T }
      started.received.push(received)
      for (const wake of waiting) wake()
      if (started.reply === 'hang up') return response.destroy()
      if (started.reply === 'nothing') return
      const answer = typeof started.reply === 'function' ? started.reply(received) : started.reply
      response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
      response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
    })
  })
  const started: JsonReceiver<T> = {
    url: '',
    received: [],
    reply,
    async request(count) {
      while (started.received.length < count)
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake)
            resolve()
          }
          waiting.add(wake)
        })
      return started.received[count - 1]!
    },
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  started.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return started
}
