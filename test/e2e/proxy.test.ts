import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { METHODS, request } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { bearer, proxied, sendRaw } from '../support/proxy-world.ts'

const json = { 'content-type': 'application/json' }
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

proxied('an allowed call passes as it is: method, path, query, headers in their case and order', async (world) => {
  const { call, upstream, agent } = world
  const answer = await call('PATCH', 'api/customers/1?expand[]=a&expand[]=b%20c&empty', {
    body: '{"a" : 1}',
    headers: {
      'Content-Type': 'application/json',
      'X-Zeta': '1',
      'X-Alpha': ['2', '3'],
      'Idempotency-Key': 'k-1',
      Cookie: 'a=b; countersign_session=mine; c=d',
      Prefer: 'return=minimal, wait=20',
    } as never,
  })
  expect(answer).toMatchObject({ status: 200, json: { ok: true } })
  const [received] = upstream.received
  expect(received).toMatchObject({
    method: 'PATCH',
    url: '/customers/1?expand[]=a&expand[]=b%20c&empty',
    body: Buffer.from('{"a" : 1}'),
  })
  const { rawHeaders = [] } = received ?? {}
  const names = rawHeaders.filter((_, at) => at % 2 === 0)
  expect(names).toEqual(
    [
      'host',
      'connection',
      'content-type',
      'X-Zeta',
      'X-Alpha',
      'X-Alpha',
      'Idempotency-Key',
      'Cookie',
      'Prefer',
      'authorization',
      'x-added',
      'content-length',
    ].map((name) => (name === 'content-type' ? 'Content-Type' : name)),
  )
  expect(received?.headers).toMatchObject({
    host: `127.0.0.1:${upstream.port}`,
    authorization: 'Bearer upstream-credential-42',
    'x-added': 'by the gate',
    'x-alpha': '2, 3',
    'idempotency-key': 'k-1',
    cookie: 'a=b; c=d',
    prefer: 'return=minimal',
  })
  expect(rawHeaders.join('\n')).not.toContain(agent.secret)
})

proxied('the key may come in three places; what authenticated a call never goes on', async (world) => {
  const { upstream, agent, url } = world
  const places = [
    { 'countersign-key': agent.secret, authorization: 'Bearer of-the-agent' },
    { 'x-api-key': agent.secret },
    { authorization: `Bearer ${agent.secret}`, 'x-copy': `again ${agent.secret}` },
  ]
  for (const headers of places) expect((await sendRaw(url, 'GET', '/proxy/api/x', { headers }).answer).status).toBe(200)
  for (const { rawHeaders } of upstream.received) expect(rawHeaders.join('\n')).not.toContain(agent.secret)
  expect(upstream.received[0]?.headers.authorization).toBe('Bearer upstream-credential-42')
})

proxied(
  'an upstream without a credential of its own gets that of the agent',
  async ({ url, agent, upstream }) => {
    const headers = { 'countersign-key': agent.secret, authorization: 'Basic dTpw' }
    expect((await sendRaw(url, 'GET', '/proxy/bare/x', { headers }).answer).status).toBe(200)
    expect(upstream.received[0]?.headers.authorization).toBe('Basic dTpw')
  },
  { config: ({ url }) => `  bare: { url: "${url}" }` },
)

proxied('without a key, with an unknown one, or with a person’s, nothing is judged or kept', async (world) => {
  const { url, upstream, admin } = world
  const refusals = [
    {},
    { authorization: 'Bearer csk_unknown_unknown' },
    { 'countersign-key': 'csk_unknown_unknown' },
    { 'countersign-key': 'x', ...bearer(world.agent) },
    { authorization: 'Basic dTpw' },
  ]
  for (const headers of refusals) {
    const answer = await sendRaw(url, 'POST', '/proxy/api/refunds', { headers, body: 'x' }).answer
    expect([headers, answer.status, answer.json.code]).toEqual([headers, 401, 'unauthenticated'])
  }
  const person = await sendRaw(url, 'POST', '/proxy/api/refunds', { headers: bearer(admin), body: 'x' }).answer
  expect(person).toMatchObject({ status: 403, json: { code: 'forbidden' } })
  expect(upstream.connections).toBe(0)
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toEqual([])
})

proxied('an upstream that is not there is a 404 that names it', async ({ call }) => {
  expect(await call('GET', 'nobody/x')).toMatchObject({
    status: 404,
    json: { code: 'not_found', detail: expect.stringContaining('nobody') },
  })
  expect((await call('GET', '%61pi/x')).status).toBe(404)
  expect((await call('GET', '')).status).toBe(404)
})

proxied('every method passes', async ({ call, upstream }) => {
  const methods = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')
  for (const method of methods) expect([method, (await call(method, 'api/x')).status]).toEqual([method, 200])
  expect(upstream.received.map(({ method }) => method)).toEqual(methods)
})

proxied('bodies pass byte for byte, with their framing: empty, small, 40 KB, over the peek, chunked', async (world) => {
  const { call, upstream } = world
  const bodies = [
    Buffer.alloc(0),
    Buffer.from([0, 255, 1]),
    randomBytes(40_000),
    randomBytes(65_536),
    randomBytes(200_000),
  ]
  for (const body of bodies) {
    expect((await call('POST', 'api/x', { body })).status).toBe(200)
    const withLength = upstream.received.at(-1)
    expect(withLength).toMatchObject({ bytes: body.length, sha256: sha256(body), complete: true })
    expect(withLength?.headers['content-length']).toBe(String(body.length))
    expect(
      (await call('PUT', 'api/x', { body: (out) => void out.end(body), headers: { 'transfer-encoding': 'chunked' } }))
        .status,
    ).toBe(200)
    if (body.length === 0) continue
    const chunked = upstream.received.at(-1)
    expect(chunked).toMatchObject({ bytes: body.length, sha256: sha256(body) })
    expect(chunked?.headers).toMatchObject({ 'transfer-encoding': 'chunked' })
    expect(chunked?.headers['content-length']).toBeUndefined()
  }
  expect((await call('GET', 'api/x', { body: 'of a GET' })).status).toBe(200)
  expect(upstream.received.at(-1)?.body.toString()).toBe('of a GET')
})

proxied('the answer is that of the upstream, and of nobody else', async ({ call, upstream }) => {
  upstream.answer = (_request, response) => {
    response.sendDate = false
    response.writeHead(418, 'Short and Stout', [
      ...['X-Case', 'Kept', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Cache-Control', 'max-age=5'],
      ...['Connection', 'X-Hop', 'X-Hop', 'gone', 'Countersign-Approval', 'apr_forged', 'Content-Type', 'text/x; y'],
      ...['Content-Encoding', 'gzip'],
    ])
    response.end(gzipSync('tea'))
  }
  const answer = await call('GET', 'api/x')
  expect(answer).toMatchObject({ status: 418, message: 'Short and Stout' })
  expect(answer.body).toEqual(gzipSync('tea'))
  const pairs = answer.rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, answer.rawHeaders[at + 1]]] : []))
  expect(pairs.filter(([name]) => !/^(connection|keep-alive|transfer-encoding)$/i.test(name ?? ''))).toEqual([
    ['X-Case', 'Kept'],
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
    ['Cache-Control', 'max-age=5'],
    ['Content-Type', 'text/x; y'],
    ['Content-Encoding', 'gzip'],
  ])
})

proxied('answers without a body, to HEAD, 204 and 304, keep their headers', async ({ call, upstream }) => {
  upstream.answer = ({ method, url }, response) => {
    if (method === 'HEAD') response.writeHead(200, { 'content-length': '1234', etag: '"h"' })
    else response.writeHead(Number(url?.slice(1)), { etag: '"x"' })
    response.end()
  }
  expect(await call('HEAD', 'api/x')).toMatchObject({ status: 200, headers: { 'content-length': '1234', etag: '"h"' } })
  for (const status of [204, 304]) {
    const answer = await call('GET', `api/${status}`)
    expect(answer).toMatchObject({ status, headers: { etag: '"x"' } })
    expect(answer.body.length).toBe(0)
  }
})

proxied('early hints pass, and bad ones do no harm', async ({ url, agent, upstream }) => {
  for (const [link, seen] of [
    ['</a.css>; rel=preload', ['</a.css>; rel=preload']],
    ['no link at all', []],
  ] as const) {
    upstream.answer = (request, response) => {
      request.socket.write(`HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\n\r\n`)
      response.end('ok')
    }
    const hints: unknown[] = []
    const outgoing = request(`${url}/proxy/api/x`, { headers: bearer(agent) }).end()
    outgoing.on('information', ({ headers }) => hints.push(headers.link))
    const [response] = await once(outgoing, 'response')
    response.resume()
    await once(response, 'end')
    expect([response.statusCode, hints]).toEqual([200, seen])
  }
})

proxied('trailers pass where they are announced', async ({ call, upstream }) => {
  upstream.answer = (_request, response) => {
    response.writeHead(200, { trailer: 'x-sum' })
    response.write('a')
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  }
  expect(await call('GET', 'api/x')).toMatchObject({ status: 200, trailers: { 'x-sum': '42' } })
})

proxied('an event stream passes event by event', async ({ url, agent, upstream }) => {
  let next: () => void = () => {}
  upstream.answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    let count = 0
    next = () => void response.write(`data: ${++count}\n\n`)
  }
  const response = await fetch(`${url}/proxy/api/events`, { headers: bearer(agent) })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const reader = response.body!.getReader()
  for (const count of [1, 2, 3]) {
    next()
    const { value } = await reader.read()
    expect(Buffer.from(value ?? []).toString()).toBe(`data: ${count}\n\n`)
  }
  await reader.cancel()
})

proxied(
  'an agent that leaves ends the call at the upstream; a slow one slows it down',
  async ({ url, agent, upstream }) => {
    let written = 0
    const closed = new Promise<void>((resolve) => {
      upstream.answer = (request, response) => {
        if (request.url !== '/endless') return void response.end()
        response.on('close', () => resolve())
        const chunk = Buffer.alloc(64 * 1024)
        const more = () => {
          for (let goesOn = true; goesOn && !response.destroyed; written += chunk.length) goesOn = response.write(chunk)
        }
        response.on('drain', more)
        more()
      }
    })
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET /proxy/api/endless HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${agent.secret}\r\n\r\n`)
    await once(socket, 'readable')
    // Nothing is read any more: what is written stays what the buffers on the way hold.
    // Other calls go the same way meanwhile: they are the clock of all three processes.
    const most = 64 * 1024 * 1024
    let before = -1
    while (written !== before && written < most) {
      before = written
      for (let call = 0; call < 50; call++)
        await fetch(`${url}/proxy/api/other`, { headers: { authorization: `Bearer ${agent.secret}` } })
    }
    expect(written).toBeLessThan(most)
    socket.destroy()
    await closed
  },
)

proxied('Expect: 100-continue is answered when the body is wanted, and never for a stranger', async (world) => {
  const { url, agent, upstream } = world
  const { port } = new URL(url)
  const ask = async (path: string, key: string) => {
    const socket = connect(Number(port), '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`
    socket.write(head)
    await once(socket, 'data')
    const first = text
    if (first.startsWith('HTTP/1.1 100')) {
      socket.write('hello')
      while (!text.includes('"ok"')) await once(socket, 'data')
    }
    socket.destroy()
    return { first, text }
  }
  expect((await ask('/proxy/api/x', agent.secret)).text).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/)
  expect(upstream.received[0]).toMatchObject({ body: Buffer.from('hello') })
  expect(upstream.received[0]?.headers.expect).toBeUndefined()
  expect((await ask('/proxy/api/x', 'csk_unknown_unknown')).first).toMatch(/^HTTP\/1.1 401/)
  expect((await ask('/proxy/nobody/x', agent.secret)).first).toMatch(/^HTTP\/1.1 404/)
  // Other routes take bodies of callers that wait, as before.
  const action = await fetch(`${url}/v1/actions`, {
    method: 'POST',
    headers: { ...bearer(agent), ...json },
    body: '{"tool":"x"}',
  })
  expect(action.status).toBe(200)
})

proxied('a request that would be another one at the upstream is refused', async ({ url, agent, upstream }) => {
  const { port } = new URL(url)
  const raw = async (head: string): Promise<string> => {
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(head.replace('KEY', `Authorization: Bearer ${agent.secret}`))
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      socket.end()
    })
    await once(socket, 'close')
    return text.split('\r\n')[0] ?? ''
  }
  const heads = [
    'POST /proxy/api/x HTTP/1.1\r\nHost: x\r\nKEY\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'POST /proxy/api/x HTTP/1.1\r\nHost: x\r\nKEY\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'GET http://elsewhere.example/proxy/api/x HTTP/1.1\r\nHost: x\r\nKEY\r\n\r\n',
  ]
  for (const head of heads) expect(await raw(head)).toMatch(/^HTTP\/1\.1 400/)
  expect(upstream.connections).toBe(0)
})

proxied('what a Connection header names stays on that connection', async ({ call, upstream }) => {
  await call('GET', 'api/x', { headers: { Connection: 'close, X-Hop', 'X-Hop': '1', TE: 'trailers', 'X-Stays': '2' } })
  const { headers } = upstream.received[0] ?? { headers: {} }
  expect(headers).toMatchObject({ 'x-stays': '2' })
  for (const name of ['x-hop', 'te', 'keep-alive', 'countersign-key']) expect(headers).not.toHaveProperty(name)
})

proxied('an upstream that breaks off its answer breaks off that of the agent', async ({ send, upstream }) => {
  // In chunks, an answer that was merely ended would pass for a whole one.
  for (const headers of [{ 'content-length': '100' }, { 'transfer-encoding': 'chunked' }]) {
    upstream.answer = (_request, response) => {
      response.writeHead(200, headers)
      response.write('half', () => response.destroy())
    }
    await expect(send('GET', 'api/x').answer).rejects.toThrow(/aborted|hang up|ECONNRESET/)
  }
})
