import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Principal } from '../../../../lib/ports/identity.ts'
import { systemClock } from '../../../../lib/runtime/clock.ts'
import { readUpstreams, type UpstreamsFile } from '../../../../lib/runtime/config/upstreams.ts'
import { createHttpApp } from '../../../../lib/runtime/http-app.ts'
import { createLogger } from '../../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../../lib/runtime/metrics.ts'
import { Forwarder } from '../../../../services/gate/proxy/forwarder.ts'
import { proxyRoutes } from '../../../../services/gate/proxy/routes.ts'
import { Sending } from '../../../../services/gate/proxy/sending.ts'
import { Spools } from '../../../../services/gate/proxy/spool.ts'
import { Tunnels } from '../../../../services/gate/proxy/tunnel.ts'
import { sendRaw } from '../../../support/proxy-world.ts'
import { startUpstream } from '../../../support/upstream-server.ts'

const KEY = 'csk_0123456789'
const headers = { authorization: `Bearer ${KEY}` }
const agent: Principal = { id: 'a', name: 'agent', tenant: 'default', role: 'agent', groups: [], email: null }

/** The proxy by itself, in a process that has no other WebSockets, where every rule allows. */
async function startProxy(file: import('typebox').Static<typeof UpstreamsFile>) {
  const problems: string[] = []
  const upstreams = readUpstreams(file, problems)
  expect(problems).toEqual([])
  const log = createLogger('silent')
  const metrics = createMetrics()
  const identity = {
    ofSecret: async (secret: string) => (secret === KEY ? agent : undefined),
    ofSession: async () => undefined,
    ofPerson: async () => undefined,
  }
  const app = await createHttpApp({ identity, log, metrics })
  const forwarder = new Forwarder(upstreams)
  const tunnels = new Tunnels()
  let givenBack = 0
  const approvals = {
    report: () => Promise.reject(new Error('there is no approval')),
    tell: () => {
      throw new Error('there is no approval')
    },
  }
  await app.register(proxyRoutes, {
    asking: { ask: async () => ({ type: 'allow', rule: null, giveBack: () => void givenBack++ }) },
    sending: new Sending({ approvals, forwarder, tunnels, gate: 'g', log, metrics }),
    spools: new Spools({ open: () => Promise.reject(new Error('nothing is held')), maxBytes: 1, log, metrics }),
    upstreams,
    clock: systemClock,
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(async () => {
    tunnels.close()
    await app.close()
    await forwarder.close()
  })
  return { url, metrics, givenBack: () => givenBack }
}

test('where nothing else takes upgrades, the proxy takes them to the routes itself', async () => {
  const upstream = await startUpstream()
  upstream.onSocket = (socket) => void socket.on('message', (data) => socket.send(`${data}!`))
  const { url } = await startProxy({ api: { url: upstream.url } })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/proxy/api/x`, { headers })
  await once(socket, 'open')
  socket.send('hello')
  expect(String((await once(socket, 'message'))[0])).toBe('hello!')
  socket.terminate()

  for (const [path, status] of [
    ['/proxy/nobody/x', 404],
    ['/elsewhere', 404],
  ]) {
    const { port } = new URL(url)
    const plain = connect(Number(port), '127.0.0.1')
    plain.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
    )
    let text = ''
    plain.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    await once(plain, 'close')
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  }
})

test('an upstream without TLS where it should have it was not reached, and what was spent is given back', async () => {
  const upstream = await startUpstream()
  const { url, givenBack, metrics } = await startProxy({ api: { url: upstream.url.replace('http:', 'https:') } })
  const answer = await sendRaw(url, 'GET', '/proxy/api/x', { headers }).answer
  expect(answer).toMatchObject({ status: 502, json: { code: 'upstream_unreachable' } })
  expect(answer.json.detail).toContain('no trusted TLS connection')
  expect(givenBack()).toBe(1)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/proxy/api/x`, { headers })
  socket.on('error', () => undefined)
  const [, response] = await once(socket, 'unexpected-response')
  expect(response.statusCode).toBe(502)
  response.resume()
  await once(response, 'end')
  expect(givenBack()).toBe(2)
  expect(upstream.received).toEqual([])
  expect(await metrics.registry.getSingleMetricAsString('countersign_forwards_total')).toContain(
    'countersign_forwards_total{upstream="api",outcome="unreachable"} 2',
  )
})

test('an upstream that stays silent has failed, and nothing is given back', async () => {
  const upstream = await startUpstream()
  upstream.answer = () => {}
  const { url, givenBack } = await startProxy({ api: { url: upstream.url, answerTimeout: '50ms' } })
  const answer = await sendRaw(url, 'GET', '/proxy/api/x', { headers }).answer
  expect(answer).toMatchObject({ status: 502, json: { code: 'upstream_failed', retryable: false } })
  expect(answer.json.detail).toContain('did not begin to answer in time')
  expect([givenBack(), upstream.received.length]).toEqual([0, 1])
})

/** Takes every connection, and says nothing on it. */
async function startMute(): Promise<string> {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket.on('error', () => undefined).resume()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The refusal of a WebSocket. */
async function refusedSocket(url: string): Promise<{ code: string; detail: string }> {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers })
  socket.on('error', () => undefined)
  const [, response] = await once(socket, 'unexpected-response')
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return JSON.parse(text)
}

// Without the time of the configuration it would be that of the client, ten seconds.
test('an upstream with which no connection comes about in time was not reached, by calls and by WebSockets', {
  timeout: 8_000,
}, async () => {
  const { url, givenBack } = await startProxy({ api: { url: `https://${await startMute()}`, connectTimeout: '50ms' } })
  const unreachable = {
    code: 'upstream_unreachable',
    detail: expect.stringContaining('no connection was made in time'),
  }
  expect((await sendRaw(url, 'GET', '/proxy/api/x', { headers }).answer).json).toMatchObject(unreachable)
  expect(await refusedSocket(`${url}/proxy/api/x`)).toMatchObject(unreachable)
  expect(givenBack()).toBe(2)
})

test('an upstream that stays silent to a WebSocket has failed, and nothing is given back', async () => {
  const { url, givenBack } = await startProxy({ api: { url: `http://${await startMute()}`, answerTimeout: '50ms' } })
  expect(await refusedSocket(`${url}/proxy/api/x`)).toMatchObject({
    code: 'upstream_failed',
    detail: expect.stringContaining('did not begin to answer in time'),
  })
  expect(givenBack()).toBe(0)
})

test('an answer that pauses for too long breaks off', async () => {
  const upstream = await startUpstream()
  upstream.answer = (_request, response) => {
    response.writeHead(200)
    response.write('half')
  }
  const { url } = await startProxy({ api: { url: upstream.url, idleTimeout: '50ms' } })
  await expect(sendRaw(url, 'GET', '/proxy/api/x', { headers }).answer).rejects.toThrow(/aborted|hang up|ECONNRESET/)
})

test('an upstream that answers before it has read the body is heard', async () => {
  const upstream = await startUpstream()
  upstream.early = (request, response) => {
    response.writeHead(413)
    response.end('too much')
    request.on('error', () => undefined).resume()
  }
  const { url } = await startProxy({ api: { url: upstream.url } })
  const answer = await sendRaw(url, 'POST', '/proxy/api/x', { headers, body: Buffer.alloc(3 * 1024 * 1024) }).answer
  expect([answer.status, answer.body.toString()]).toEqual([413, 'too much'])
})

test('an agent that stops in the middle of its body ends the call at the upstream', async () => {
  const upstream = await startUpstream()
  const { url } = await startProxy({ api: { url: upstream.url } })
  const { leave } = sendRaw(url, 'POST', '/proxy/api/x', {
    headers: { ...headers, 'content-length': String(1024 * 1024) },
    body: (outgoing) => void outgoing.write(Buffer.alloc(200 * 1024)),
  })
  while (upstream.begun === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  leave()
  const [received] = await upstream.calls(1)
  expect(received).toMatchObject({ complete: false })
})
