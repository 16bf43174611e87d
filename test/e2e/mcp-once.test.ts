import { expect, onTestFinished, test } from 'vitest'
import { ACCEPT, call, HELLO, json, raw, startScripted } from '../support/mcp-raw.ts'
import { startHttpTools } from '../support/mcp-servers.ts'
import { type Caller, startWorld, type World } from '../support/server.ts'

const policy = `
version: 1
default: allow
settings: { timeout: 1m }
rules:
  - { id: writes, match: { server: tools, tool: write }, action: require_approval }
  - { id: few-reads, match: { server: tools, tool: read }, action: rate_limit, rate_limit: { limit: 1, window: 1m } }
`
const change = { path: 'a.txt', text: 'hello' }

const start = (url: string, mode = 'retry'): Promise<World> =>
  startWorld({ policy, config: JSON.stringify({ mcp: { tools: { url, mode } } }) })

async function begin(agent: Caller): Promise<{ 'mcp-session-id': string }> {
  const { headers } = await raw(agent, '/mcp/tools', HELLO)
  return { 'mcp-session-id': headers.get('mcp-session-id') ?? '' }
}

/** An approval for the change, asked for by a request with this id. */
async function approved({ agent, admin }: World, headers: Record<string, string>, id: number): Promise<string> {
  const { message } = await raw(agent, '/mcp/tools', call('write', change, id), { headers })
  const { approvalId } = (message.error as unknown as { data: { approvalId: string } }).data
  await admin.decide(approvalId, 'approve')
  return approvalId
}

/** Sends a message whose answer is not waited for. */
function post({ url, secret }: Caller, headers: Record<string, string>, body: object) {
  const left = new AbortController()
  onTestFinished(() => left.abort())
  const answer = fetch(`${url}/mcp/tools`, {
    method: 'POST',
    headers: { ...ACCEPT, ...headers, authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: left.signal,
  }).then((response) => response.text())
  answer.catch(() => {})
  return { answer, leave: () => left.abort() }
}

const TAKEN = { status: 400, message: { error: { code: -32600, message: expect.stringContaining('id') } } }

test('an id of JSON-RPC that comes again while its call runs is refused, and gives no approval back', async () => {
  let finish = () => {}
  const { url, messages } = await startScripted((message, _, response) => {
    if (message?.method === 'initialize')
      return json(response, { jsonrpc: '2.0', id: message.id, result: {} }, { 'mcp-session-id': 'one' })
    if (message?.method !== 'tools/call')
      return json(response, { jsonrpc: '2.0', id: message?.id, error: { code: -32601, message: 'no such method' } })
    finish = () => json(response, { jsonrpc: '2.0', id: message.id, result: { content: [] } })
  })
  const world = await start(url)
  const { agent, admin } = world
  const headers = await begin(agent)
  const id = await approved(world, headers, 9)
  const calls = () => messages.filter(({ method }) => method === 'tools/call')
  const running = post(agent, headers, call('write', change, 1))
  await expect.poll(() => calls().length).toBe(1)
  expect(await raw(agent, '/mcp/tools', { jsonrpc: '2.0', id: 1, method: 'no/such' }, { headers })).toMatchObject(TAKEN)
  expect(await raw(agent, '/mcp/tools', call('other', {}), { headers })).toMatchObject(TAKEN)
  expect(messages.map(({ method }) => method)).toEqual(['initialize', 'tools/call'])
  expect((await admin.record(id)).status).toBe('claimed')
  const again = await raw(agent, '/mcp/tools', call('write', change, 2), { headers })
  expect(again.message.error).toMatchObject({ code: -32003, data: { code: 'approval_pending' } })
  expect(calls()).toHaveLength(1)

  finish()
  expect(await running.answer).toContain('"content"')
  const settled = await admin.recordThat(id, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'executed' })
  expect((await raw(agent, '/mcp/tools', { jsonrpc: '2.0', id: 1, method: 'no/such' }, { headers })).status).toBe(200)
})

test('an id of JSON-RPC is taken while its call is held, and as long as what had it may still answer', async () => {
  const { url, messages } = await startScripted((message, _, response) => {
    if (message?.method === 'initialize')
      json(response, { jsonrpc: '2.0', id: message.id, result: {} }, { 'mcp-session-id': 'one' })
  })
  const world = await start(url, 'hold')
  const { agent, admin } = world
  const headers = await begin(agent)
  post(agent, headers, call('write', change, 1))
  const [record] = await admin.pending()
  expect(await raw(agent, '/mcp/tools', { jsonrpc: '2.0', id: 1, method: 'ping' }, { headers })).toMatchObject(TAKEN)
  expect((await admin.record(record!.id)).status).toBe('pending')

  const slow = post(agent, headers, call('slow', {}, 2))
  await expect.poll(() => messages.length).toBe(2)
  slow.leave()
  await expect(slow.answer).rejects.toThrow()
  expect(await raw(agent, '/mcp/tools', call('write', change, 2), { headers })).toMatchObject(TAKEN)
  expect(messages).toHaveLength(2)
})

test('what a resumed stream of another request says is no answer to the call with its id', async () => {
  const error = JSON.stringify({ jsonrpc: '2.0', id: 7, error: { code: -32601, message: 'no such method' } })
  const result = JSON.stringify({ jsonrpc: '2.0', id: 7, result: { content: [] } })
  const { url } = await startScripted((message, request, response) => {
    if (message?.method === 'initialize')
      return json(response, { jsonrpc: '2.0', id: message.id, result: {} }, { 'mcp-session-id': 'one' })
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (message?.method === 'no/such') response.end(`id: n1\ndata: \n\nid: n2\ndata: ${error}\n\n`)
    else if (message) response.end('id: e1\ndata: \n\n')
    else if (request.headers['last-event-id'] === 'n1') response.end(`id: n2\ndata: ${error}\n\n`)
    else if (request.headers['last-event-id'] === 'e1') response.end('id: e2\ndata: \n\n')
    else response.end(`id: e3\ndata: ${result}\n\n`)
  })
  const world = await start(url)
  const { agent, admin } = world
  const headers = await begin(agent)
  const id = await approved(world, headers, 9)
  await raw(agent, '/mcp/tools', { jsonrpc: '2.0', id: 7, method: 'no/such' }, { headers })
  expect((await raw(agent, '/mcp/tools', call('write', change, 7), { headers })).text).toContain('id: e1')
  const resume = async (at: string) =>
    (
      await raw(agent, '/mcp/tools', undefined, {
        method: 'GET',
        headers: { ...headers, 'last-event-id': at },
      })
    ).text
  expect(await resume('n1')).toContain('-32601')
  expect((await admin.record(id)).status).toBe('claimed')
  expect(await resume('e1')).toContain('id: e2')
  expect(await resume('e2')).toContain('"content"')
  const settled = await admin.recordThat(id, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'executed' })
})

test('an allowed call that never reached its server, or was refused there, spends nothing of a rate limit', async () => {
  const tools = await startHttpTools()
  const { agent } = await start(tools.url)
  const read = async () => (await raw(agent, '/mcp/tools', call('read', { path: 'x' }))).message.error
  await tools.close()
  for (const _ of [1, 2]) expect(await read()).toMatchObject({ data: { code: 'upstream_unreachable' } })

  const refusing = await startScripted((_, __, response) => response.writeHead(401).end())
  const other = await start(refusing.url)
  const readThere = async () => (await raw(other.agent, '/mcp/tools', call('read', { path: 'x' }))).message.error
  for (const _ of [1, 2]) expect(await readThere()).toMatchObject({ data: { code: 'upstream_failed' } })

  const mute = await startScripted((_, __, response) => response.writeHead(500).end())
  const last = await start(mute.url)
  const readLast = async () => (await raw(last.agent, '/mcp/tools', call('read', { path: 'x' }))).message.error
  expect(await readLast()).toMatchObject({ data: { code: 'upstream_failed' } })
  expect(await readLast()).toMatchObject({ data: { code: 'rate_limited' } })
})

test('approved calls go on a new connection each; allowed ones share theirs', async () => {
  const ports = new Map<unknown, number | undefined>()
  const { url } = await startScripted((message, request, response) => {
    ports.set(message?.id, request.socket.remotePort)
    json(response, { jsonrpc: '2.0', id: message?.id, result: { content: [] } })
  })
  const world = await start(url)
  const send = (id: number, tool: string, args: object) => raw(world.agent, '/mcp/tools', call(tool, args, id))
  await send(1, 'other', {})
  await send(2, 'other', {})
  await approved(world, {}, 3)
  expect((await send(4, 'write', change)).text).toContain('"content"')
  await approved(world, {}, 5)
  expect((await send(6, 'write', change)).text).toContain('"content"')
  expect([...ports.keys()]).toEqual([1, 2, 4, 6])
  expect(ports.get(2)).toBe(ports.get(1))
  expect(new Set(ports.values()).size).toBe(3)
})

test('headers that repeat arguments pass where they say the same, and not at all in a session', async () => {
  const tools = [
    { name: 'other', inputSchema: { type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'A' } } } },
  ]
  const seen: [unknown, unknown][] = []
  const { url } = await startScripted((message, request, response) => {
    if (message?.method === 'tools/call') seen.push([message.id, request.headers['mcp-param-a']])
    json(response, { jsonrpc: '2.0', id: message?.id, result: message?.method === 'tools/list' ? { tools } : {} })
  })
  const { agent } = await start(url)
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
  const send = async (id: number, param: string, meta: object | undefined = _meta) => {
    const { message } = await raw(
      agent,
      '/mcp/tools',
      {
        ...call('other', {}, id),
        params: { name: 'other', arguments: { a: 'x', b: 'y' }, ...(meta && { _meta: meta }) },
      },
      { headers: { 'mcp-param-a': param } },
    )
    return message.error?.code
  }
  expect(await send(1, 'x')).toBeUndefined()
  expect(await send(2, 'y')).toBe(-32602)
  expect(await send(3, 'y', {})).toBeUndefined()
  expect(seen).toEqual([
    [1, 'x'],
    [3, undefined],
  ])
})

test('without sessions a client that leaves ends its approved call at the server; the record says unknown', async () => {
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const { url, messages } = await startScripted((_message, _request, response) => void response.once('close', end))
  const world = await start(url)
  const id = await approved(world, {}, 1)
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
  const { leave } = post(
    world.agent,
    {},
    { ...call('write', change), params: { name: 'write', arguments: change, _meta } },
  )
  await expect.poll(() => messages.length).toBe(1)
  leave()
  await ended
  const settled = await world.admin.recordThat(id, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'unknown' })
})

test('an agent has no more exchanges open at once than its limit, and each frees its place when it is through', async () => {
  let finish = () => {}
  const { url, messages } = await startScripted((message, _, response) => {
    finish = () => json(response, { jsonrpc: '2.0', id: message?.id, result: {} })
  })
  const config = JSON.stringify({ mcp: { tools: { url } }, gate: { maxHoldsPerAgent: 1 } })
  const { agent } = await startWorld({ policy, config })
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
  for (const turn of [1, 2]) {
    const open = post(agent, {}, ping)
    await expect.poll(() => messages.length).toBe(turn)
    const refused = await raw(agent, '/mcp/tools', ping)
    expect([refused.status, refused.message.code]).toEqual([429, 'too_many_holds'])
    finish()
    expect(await open.answer).toContain('"result":{}')
  }
})
