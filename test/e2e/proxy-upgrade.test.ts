import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { bearer, type ProxyWorld, proxied } from '../support/proxy-world.ts'

/** Opens a WebSocket through the proxy; `answer` is what came instead of one. */
function open({ url, agent }: ProxyWorld, path: string, headers: Record<string, string> = bearer(agent)) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/proxy/${path}`, ['a.v1', 'b.v1'], { headers })
  const messages: Buffer[] = []
  socket.on('message', (data: Buffer) => messages.push(data))
  const opened = once(socket, 'open')
  const upgraded = once(socket, 'upgrade')
  const answer = once(socket, 'unexpected-response').then(async ([, response]) => {
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk)
    return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') }
  })
  const closed = once(socket, 'close')
  for (const each of [opened, upgraded, answer, closed]) each.catch(() => undefined)
  socket.on('error', () => undefined)
  return { socket, messages, opened, upgraded, answer, closed }
}

const echo = (world: ProxyWorld) => {
  world.upstream.onSocket = (socket) =>
    void socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
}

proxied('a WebSocket that a rule allows passes both ways, large messages too', async (world) => {
  echo(world)
  const { socket, messages, opened, upgraded, closed } = open(world, 'api/sockets/free?x=1')
  await opened
  const [response] = await upgraded
  expect(response.headers).not.toHaveProperty('countersign-approval')
  expect(socket.protocol).toBe('a.v1')
  const large = randomBytes(3 * 1024 * 1024)
  socket.send('hello')
  socket.send(large)
  while (messages.length < 2) await once(socket, 'message')
  expect(messages[0]?.toString()).toBe('hello')
  expect(messages[1]?.equals(large)).toBe(true)
  socket.close(4001, 'done')
  expect((await closed)[0]).toBe(4001)
  const [received] = world.upstream.received
  expect(received).toMatchObject({ method: 'GET', url: '/sockets/free?x=1' })
  expect(received?.headers).toMatchObject({
    authorization: 'Bearer upstream-credential-42',
    host: `127.0.0.1:${world.upstream.port}`,
    'sec-websocket-protocol': 'a.v1,b.v1',
  })
})

proxied('what a client says before it is answered reaches the upstream', async (world) => {
  echo(world)
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const { authorization } = bearer(world.agent)
  const head = `GET /proxy/api/sockets/free HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
  // A text of five bytes, masked with nothing (RFC 6455, 5.2).
  socket.write(Buffer.concat([Buffer.from(head), Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from('early')]))
  let text = ''
  for await (const chunk of socket) {
    text += chunk.toString('latin1')
    if (text.includes('early')) break
  }
  expect([text.split('\r\n')[0], text.split('\r\n\r\n')[1]]).toEqual([
    'HTTP/1.1 101 Switching Protocols',
    '\x81\x05early',
  ])
})

proxied('a held upgrade is asked once, and joined when a person approves', async (world) => {
  const { admin, asked, upstream } = world
  upstream.onSocket = (socket) => socket.send('welcome')
  const { messages, opened, upgraded, socket } = open(world, 'api/sockets/held')
  const record = await asked()
  expect(upstream.connections).toBe(0)
  await admin.decide(record.id, 'approve')
  await opened
  expect((await upgraded)[0].headers['countersign-approval']).toBe(record.id)
  while (messages.length < 1) await once(socket, 'message')
  expect(messages[0]?.toString()).toBe('welcome')
  const settled = await admin.recordThat(record.id, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'executed', status: 101 })
  socket.terminate()
})

proxied('a refused upgrade gets a plain answer, and its connection ends', async (world) => {
  const { admin, asked, upstream } = world
  const denied = open(world, 'api/sockets/held')
  await admin.decide((await asked()).id, 'deny', { reason: 'no' })
  const { status, headers, text } = await denied.answer
  expect([status, headers['countersign-retry'], JSON.parse(text).code]).toEqual([403, 'false', 'approval_denied'])
  expect((await open(world, 'api/sockets/free', { authorization: 'Bearer csk_unknown_key' }).answer).status).toBe(401)
  expect((await open(world, 'nobody/x').answer).status).toBe(404)
  expect(JSON.parse((await open(world, 'api/never/x').answer).text).code).toBe('policy_denied')
  expect(upstream.connections).toBe(0)
  const refusedThere = await open(world, 'api/sockets/free').answer
  expect(refusedThere).toMatchObject({ status: 426, headers: { 'x-why': 'none here' }, text: 'no' })
})

proxied('an agent that leaves a held upgrade cancels it; an upstream that is away gives it back', async (world) => {
  const { admin, asked, upstream } = world
  const leaving = open(world, 'api/sockets/held')
  const { id } = await asked()
  leaving.socket.terminate()
  expect(await admin.recordThat(id, ({ status }) => status !== 'pending')).toMatchObject({ status: 'cancelled' })
  await upstream.close()
  const unreachable = open(world, 'api/sockets/held')
  const again = await asked()
  await admin.decide(again.id, 'approve')
  const { status, text } = await unreachable.answer
  expect([status, JSON.parse(text).code]).toEqual([502, 'upstream_unreachable'])
  expect(await admin.record(again.id)).toMatchObject({ status: 'approved' })
})

proxied('either side that goes takes the other with it, and a stop ends both', async (world) => {
  const { upstream } = world
  const there = new Promise<WebSocket>((resolve) => {
    upstream.onSocket = resolve
  })
  const first = open(world, 'api/sockets/free')
  await first.opened
  const atUpstream = await there
  atUpstream.terminate()
  expect((await first.closed)[0]).toBe(1006)

  const closed = new Promise<void>((resolve) => {
    upstream.onSocket = (socket) => void socket.once('close', () => resolve())
  })
  const second = open(world, 'api/sockets/free')
  await second.opened
  second.socket.terminate()
  await closed

  const third = open(world, 'api/sockets/free')
  await third.opened
  await world.stop()
  await third.closed
})

/** All that comes on a connection that says these, each when the one before it is being answered. */
async function raw(url: string, ...requests: string[]) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  const next = () => {
    if ((text.match(/HTTP\/1\.1 \d/g) ?? []).length === sent) socket.write(requests[sent++] ?? '')
  }
  let sent = 0
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    next()
  })
  next()
  await once(socket, 'close')
  return text
}

const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n'

proxied('a client that offers HTTP/2 with every call is answered in HTTP/1.1, and goes on', async (world) => {
  const { admin, url, agent, upstream } = world
  expect((await admin.stream()).snapshot).toEqual([])
  const head = `Host: x\r\nAuthorization: Bearer ${agent.secret}\r\n`
  const text = await raw(
    url,
    `POST /proxy/api/x HTTP/1.1\r\n${head}${H2C}Content-Length: 5\r\n\r\nhello`,
    `POST /proxy/api/y HTTP/1.1\r\n${head}${H2C}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
    `GET /healthz HTTP/1.1\r\nHost: x\r\n${H2C}\r\n`,
    `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  )
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(Array(4).fill('HTTP/1.1 200'))
  expect(upstream.received.map(({ body }) => body.toString())).toEqual(['hello', 'hi'])
  for (const { headers } of upstream.received) expect(Object.keys(headers)).not.toContain('upgrade')
})

const WEBSOCKET =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

proxied('an upgrade to where there is none is a plain call, and no body hides behind one', async (world) => {
  const { url, agent, upstream } = world
  const head = `Host: x\r\nAuthorization: Bearer ${agent.secret}\r\n${WEBSOCKET}`
  for (const path of ['/healthz', '/nowhere', '/v1/stream/x'])
    expect(
      await raw(
        url,
        `GET ${path} HTTP/1.1\r\nHost: x\r\n${WEBSOCKET}\r\n`,
        `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      ),
    ).toMatch(/^HTTP\/1\.1 [\s\S]*HTTP\/1\.1 200/)
  await raw(url, `GET /proxy/api/x HTTP/1.1\r\n${head}Connection: close\r\nContent-Length: 5\r\n\r\nhello`)
  await raw(url, `GET /proxy/api/x HTTP/1.0\r\n${head}\r\n`)
  expect(upstream.received.map(({ headers }) => headers.upgrade)).toEqual([undefined, undefined])
  expect(upstream.received[0]?.body.toString()).toBe('hello')
})

proxied('an answered upgrade ends its connection, whoever asked and however badly', async ({ url }) => {
  for (const [path, status] of [
    ['/proxy/api/x', 401],
    ['/proxy/%zz', 400],
    ['/v1/stream', 401],
  ])
    expect(await raw(url, `GET ${path} HTTP/1.1\r\nHost: x\r\n${WEBSOCKET}\r\n`)).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*connection: close`, 'i'),
    )
})

proxied('callers that left after an upgrade do not keep the server from stopping', async (world) => {
  for (const upgrade of [H2C, WEBSOCKET]) {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
    socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`)
    await once(socket, 'data')
    socket.end()
    await once(socket.resume(), 'close')
  }
  await world.stop()
})
