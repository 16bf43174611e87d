import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { bearer, type ProxyWorld, startProxyWorld } from '../support/proxy-world.ts'

/** An upstream that answers each call with these bytes, and hangs up. */
async function answering(bytes: string) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(Buffer.from(bytes, 'latin1')))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function startOdd(bytes: string) {
  const url = await answering(bytes)
  return startProxyWorld({ config: () => `  odd: { url: "${url}" }` })
}

async function isAlive({ url }: ProxyWorld) {
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
}

/** What came instead of a WebSocket. */
async function refusedSocket({ url, agent }: ProxyWorld, path: string) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/proxy/${path}`, { headers: bearer(agent) })
  socket.on('error', () => undefined)
  const [, response] = await once(socket, 'unexpected-response')
  response.resume()
  return response
}

const PLAIN = 'Content-Length: 2\r\n\r\nok'
const ODD: [string, string, number, string][] = [
  ['a byte behind ASCII', `HTTP/1.1 404 Gr\xfc\r\n${PLAIN}`, 404, 'Not Found'],
  ['a control character', `HTTP/1.1 200 O\x01K\r\n${PLAIN}`, 200, 'OK'],
  ['a status without a name of its own', `HTTP/1.1 599 \x01\r\n${PLAIN}`, 599, ''],
  ['no phrase', `HTTP/1.1 200 \r\n${PLAIN}`, 200, ''],
  ['a phrase of its own', `HTTP/1.1 200 Fine by me\r\n${PLAIN}`, 200, 'Fine by me'],
  ['trailers that cannot come', `HTTP/1.1 200 OK\r\nTrailer: X\r\n${PLAIN}`, 200, 'OK'],
]

test.each(ODD)('an answer that Node would not write reaches the agent: %s', async (_name, bytes, status, message) => {
  const world = await startOdd(bytes)
  expect(await world.call('GET', 'odd/x')).toMatchObject({ status, message, body: Buffer.from('ok') })
  const answer = await refusedSocket(world, 'odd/x')
  expect([answer.statusCode, answer.statusMessage]).toEqual([status, message])
  await isAlive(world)
})

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

test.each([
  ['one', CONTINUE, 200],
  ['several, with headers', `HTTP/1.1 100 Go\r\nX: y\r\n\r\n${CONTINUE}HTTP/1.1 102 Processing\r\n\r\n`, 200],
  ['too many', CONTINUE.repeat(30), 502],
  ['too many others', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(200), 502],
])('answers that only say that the call goes on, unasked: %s', async (_name, before, status) => {
  const world = await startOdd(`${before}HTTP/1.1 200 OK\r\n${PLAIN}`)
  expect((await world.call('POST', 'odd/x', { body: 'hello' })).status).toBe(status)
  await isAlive(world)
})

test('a continue that comes in pieces is none of the answer, on a connection that is used again too', async () => {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('error', () => undefined).setNoDelay(true)
    socket.on('data', (data) => {
      if (!data.includes('GET ')) return
      socket.write('HTTP/1.1 1')
      setImmediate(() => {
        socket.write('00 Continue\r\n')
        setImmediate(() => socket.write(`\r\nHTTP/1.1 200 OK\r\n${PLAIN}`))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const world = await startProxyWorld({ config: () => `  odd: { url: "http://127.0.0.1:${port}" }` })
  for (let at = 0; at < 3; at++)
    expect(await world.call('GET', 'odd/x')).toMatchObject({ status: 200, body: Buffer.from('ok') })
  expect(connections).toBe(1)
})

test.each([
  ['a status below all', `HTTP/1.1 099 X\r\n${PLAIN}`],
  ['an upgrade that nobody takes', `HTTP/1.1 101 X\r\n\r\n${PLAIN}`],
  ['no HTTP', 'SSH-2.0-x\r\n'],
])('an answer that is none is a 502: %s', async (_name, bytes) => {
  const world = await startOdd(bytes)
  expect(await world.call('GET', 'odd/x')).toMatchObject({ status: 502, json: { code: 'upstream_failed' } })
  expect((await refusedSocket(world, 'odd/x')).statusCode).toBe(502)
  await isAlive(world)
})
