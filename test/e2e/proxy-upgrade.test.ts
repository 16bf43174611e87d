import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'vitest'
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

proxied('the stream of approvals and other upgrades are as they were', async (world) => {
  const { admin, url, agent, upstream } = world
  const stream = await admin.stream()
  expect(stream.snapshot).toEqual([])
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write(
    `GET /proxy/api/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${agent.secret}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  )
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  await once(socket, 'close')
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
  expect(upstream.connections).toBe(0)
})
