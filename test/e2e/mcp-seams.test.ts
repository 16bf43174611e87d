import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLogger } from '../../lib/runtime/logger.ts'
import { CLIENTS, connectStateless } from '../support/mcp-clients.ts'
import { ACCEPT, call, HELLO, json, raw, startScripted } from '../support/mcp-raw.ts'
import { startHttpTools, startStatelessTools, stdioTools } from '../support/mcp-servers.ts'
import { Caller, startWorld, type World } from '../support/server.ts'

const policy = `
version: 1
default: allow
settings: { timeout: 1m }
rules:
  - { id: writes, match: { server: "*", tool: write }, action: require_approval }
  - { id: crashing, match: { tool: crash }, action: require_approval }
  - { id: drops, match: { server: "*", tool: drop }, action: deny }
`
const change = { path: 'a.txt', text: 'hello' }
const connect = CLIENTS['SDK 2']!

const start = (mcp: object, rules = policy, log = createLogger('silent')): Promise<World> =>
  startWorld({ policy: rules, config: JSON.stringify({ mcp }), log })

const rejection = async (promise: Promise<unknown>) =>
  promise.then(
    (value) => {
      throw new Error(`expected an error, got ${JSON.stringify(value)}`)
    },
    (error: Error & { code: number; data: Record<string, unknown> }) => error,
  )

test('the process of a server dies in the middle of a call: the call is over, the session goes on in a new process', async () => {
  const { command, args, calls } = stdioTools()
  const { agent, admin } = await start({ tools: { command, args, mode: 'hold' } })
  const client = await connect({ caller: agent, server: 'tools' })
  const [before = ''] = (await client.call('pid')).texts
  expect(before.split(' ')[1]?.split(',')).not.toContain('COUNTERSIGN_LOG_LEVEL')
  const crashed = rejection(client.call('crash'))
  const [record] = await admin.pending()
  await admin.decide(record!.id, 'approve')
  expect(await crashed).toMatchObject({ code: -32002, message: expect.stringContaining('may have run') })
  const settled = await admin.recordThat(record!.id, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'unknown' })

  const [after = ''] = (await client.call('pid')).texts
  expect(after.split(' ')[0]).not.toBe(before.split(' ')[0])
  expect(calls().map(({ tool }) => tool)).toEqual(['pid', 'crash', 'pid'])
})

test('a server that cannot be reached or started: nothing ran, and the approval stays usable', async () => {
  const tools = await startHttpTools()
  const mcp = { tools: { url: tools.url, mode: 'hold' }, none: { command: '/no/such/program' } }
  const { agent, admin } = await start(mcp)
  const client = await connect({ caller: agent, server: 'tools' })
  const answer = rejection(client.call('write', change))
  const [record] = await admin.pending()
  await tools.close()
  await admin.decide(record!.id, 'approve')
  expect(await answer).toMatchObject({ code: -32002, data: { code: 'upstream_unreachable', retryable: true } })
  expect((await admin.record(record!.id)).status).toBe('approved')

  const back = await startHttpTools({ port: Number(new URL(tools.url).port) })
  const again = await connect({ caller: agent, server: 'tools' })
  expect((await again.call('write', change)).isError).toBe(false)
  expect(back.calls).toEqual([{ tool: 'write', args: change }])

  const { message } = await raw(agent, '/mcp/none', HELLO)
  expect(message.error).toMatchObject({ code: -32002, message: expect.stringContaining('ENOENT') })
})

test('clients have sessions and processes of their own; a session is of no use to another agent', async () => {
  const { command, args } = stdioTools()
  const { url, calls, requests } = await startHttpTools()
  const world = await start({ tools: { command, args, maxSessions: 2 }, far: { url } })
  const { agent } = world
  const bob = await world.caller('bob', 'agent')
  const one = await connect({ caller: agent, server: 'tools' })
  const two = await connect({ caller: bob, server: 'tools' })
  expect((await one.call('pid')).texts).not.toEqual((await two.call('pid')).texts)
  expect((await raw(agent, '/mcp/tools', HELLO)).message.error).toMatchObject({ code: -32002 })
  await one.end()
  const three = await raw(agent, '/mcp/tools', HELLO)
  expect([three.status, three.message.error]).toEqual([200, undefined])

  const begun = await raw(agent, '/mcp/far', HELLO)
  const session = begun.headers.get('mcp-session-id') ?? ''
  const stolen = { 'mcp-session-id': session }
  const seen = requests.length
  for (const method of ['POST', 'GET', 'DELETE']) {
    const answer = await raw(bob, '/mcp/far', method === 'POST' ? call('read', { path: 'x' }) : undefined, {
      method,
      headers: stolen,
    })
    expect([method, answer.status, answer.message.code]).toEqual([method, 404, 'not_found'])
  }
  for (const made of ['x', `${session}x`, session.split('.')[1] ?? ''])
    expect((await raw(agent, '/mcp/far', call('pid', {}), { headers: { 'mcp-session-id': made } })).status).toBe(404)
  expect(requests).toHaveLength(seen)
  expect((await raw(agent, '/mcp/far', call('read', { path: 'x' }), { headers: stolen })).status).toBe(200)
  expect(calls).toEqual([{ tool: 'read', args: { path: 'x' } }])
})

test('what is no message for one server is refused and not passed', async () => {
  const { url, requests } = await startHttpTools()
  const world = await start({ tools: { url } })
  const { agent, admin } = world
  const status = async (body: unknown, headers: Record<string, string> = {}, caller = agent, path = '/mcp/tools') => {
    const answer = await raw(caller, path, body, { headers })
    return `${answer.status} ${String(answer.message.code)}`
  }
  const stateless = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
  const envelope = { ...call('write', change), params: { name: 'write', arguments: change, _meta: stateless } }
  expect(await status([HELLO])).toBe('422 invalid_body')
  expect(await status('{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}')).toBe('422 invalid_body')
  expect(await status('not json')).toBe('422 invalid_body')
  expect(await status({ id: 1, method: 'ping' })).toBe('422 invalid_body')
  expect(await status({ ...call('write', change), id: undefined })).toBe('422 invalid_body')
  expect(await status({ ...call('write', change), result: {} })).toBe('422 invalid_body')
  expect(await status({ ...call('write', change), params: { name: 'write', arguments: [] } })).toBe('422 invalid_body')
  expect(await status({ ...call('write', change), params: { name: 7 } })).toBe('422 invalid_body')
  expect(await status(`"${'x'.repeat(2 ** 20)}"`)).toBe('413 payload_too_large')
  expect(await status(HELLO, { 'content-type': 'text/plain' })).toBe('415 unsupported_media_type')
  expect(await status(HELLO, { origin: 'https://evil.example' })).toBe('403 forbidden')
  expect(await status(HELLO, {}, admin)).toBe('403 forbidden')
  expect(await status(HELLO, {}, new Caller(world.url, 'csk_wrongwrongwrong', 'nobody'))).toBe('401 unauthenticated')
  expect(await status(HELLO, {}, agent, '/mcp/other')).toBe('404 not_found')
  expect(await status(envelope, { 'mcp-method': 'tools/list' })).toBe('400 invalid_request')
  expect(await status(envelope, { 'mcp-method': 'tools/call', 'mcp-name': 'read' })).toBe('400 invalid_request')
  expect(await status(envelope, { 'mcp-method': 'tools/call', 'mcp-name': '=?base64?cmVhZA==?=' })).toBe(
    '400 invalid_request',
  )
  expect(requests).toEqual([])
  expect((await raw(agent, '/mcp/tools', HELLO, { headers: { origin: 'http://localhost:6274' } })).status).toBe(200)
})

test('annotations count where the server is trusted, also before its client has asked for the tools', async () => {
  const rules = `
version: 1
default: deny
rules:
  - { id: reading, match: { server: "*" }, when: [{ path: annotations.readOnlyHint, eq: true }], action: allow }
  - { id: writing, match: { server: "*", tool: write }, when: [{ path: args.path, startsWith: "/tmp/" }], action: allow }
`
  const { url, calls } = await startHttpTools()
  const { command, args } = stdioTools()
  const mcp = { good: { url, trusted: true }, local: { command, args, trusted: true }, other: { url } }
  const { agent } = await start(mcp, rules)
  for (const server of ['good', 'local']) {
    const client = await connect({ caller: agent, server })
    expect(await client.call('read', { path: 'x' })).toEqual({ isError: false, texts: ['contents of x'] })
    expect((await client.call('grow')).texts[0]).toContain('No rule allows this action.')
    expect(await client.tools()).toEqual(['read', 'write'])
  }
  const other = await connect({ caller: agent, server: 'other' })
  expect(await other.tools()).toEqual(['write'])
  expect((await other.call('read', { path: 'x' })).isError).toBe(true)
  expect(calls).toEqual([{ tool: 'read', args: { path: 'x' } }])
})

test('what a trusted server says of its tools is asked for anew when they change, and counts against a call where it is not said', async () => {
  const rules = `
version: 1
default: allow
rules: [{ id: destructive, match: { server: "*" }, when: [{ path: annotations.destructiveHint, eq: true }], action: deny }]
`
  let tools: object[] | undefined = [{ name: 'move', inputSchema: {}, annotations: { destructiveHint: false } }]
  const { url, messages } = await startScripted((message, _, response) => {
    const { id, method } = message ?? {}
    if (method === 'ping') {
      const told = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const each of [told, { jsonrpc: '2.0', id, result: {} }]) response.write(`data: ${JSON.stringify(each)}\n\n`)
      return response.end()
    }
    if (method === 'tools/list' && !tools)
      return json(response, { jsonrpc: '2.0', id, error: { code: -32603, message: 'not now' } })
    const result = method === 'tools/list' ? { tools } : { content: [] }
    json(response, { jsonrpc: '2.0', id, result }, method === 'initialize' ? { 'mcp-session-id': 'one' } : {})
  })
  const { agent } = await start({ good: { url, trusted: true } }, rules)
  const begun = await raw(agent, '/mcp/good', HELLO)
  const headers = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  let id = 0
  const changed = () => raw(agent, '/mcp/good', { jsonrpc: '2.0', id: ++id, method: 'ping' }, { headers })
  const isDenied = async () =>
    (await raw(agent, '/mcp/good', call('move', {}, ++id), { headers })).text.includes('Denied')
  expect(await isDenied()).toBe(false)
  tools = [{ name: 'move', inputSchema: {}, annotations: { destructiveHint: true } }]
  await changed()
  expect(await isDenied()).toBe(true)
  tools = undefined
  await changed()
  expect(await isDenied()).toBe(true)
  expect(messages.filter(({ method }) => method === 'tools/call')).toHaveLength(1)
})

test("the server gets the gate's credential, and never the agent's key; no secret is told", async () => {
  const secret = 'sk-live-0123456789abcdefghijklmnop'
  const { url, requests } = await startHttpTools()
  const { command, args } = stdioTools()
  let logged = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged += String(chunk)
      done()
    },
  })
  const mcp = {
    tools: { url, headers: { Authorization: `Bearer ${secret}` } },
    local: { command, args, env: { API_TOKEN: secret } },
  }
  const { agent, admin } = await start(mcp, policy, createLogger('trace', stream))
  const client = await connect({ caller: agent, server: 'tools' })
  await client.tools()
  const local = await connect({ caller: agent, server: 'local' })
  const [, names = ''] = (await local.call('pid')).texts[0]?.split(' ') ?? []
  expect(names.split(',')).toContain('API_TOKEN')
  expect(requests.map(({ headers }) => headers.authorization)).toEqual(requests.map(() => `Bearer ${secret}`))
  expect(JSON.stringify(requests)).not.toContain(agent.secret)
  const document = JSON.stringify((await admin.send('GET', '/openapi.json')).body)
  await expect.poll(() => logged).toContain('an MCP server wrote to stderr')
  for (const text of [logged, document]) {
    expect(text).not.toContain(secret)
    expect(text).not.toContain(agent.secret)
    expect(text).not.toContain('abcdefghijklmnopqrstuvwxyz0123456789')
  }
})

test('the gate stops while a call is held: it says so, the approval waits, and the same call joins it', async () => {
  const { url, calls } = await startHttpTools()
  const world = await start({ tools: { url, mode: 'hold' } })
  const client = await connect({ caller: world.agent, server: 'tools' })
  const held = rejection(client.call('write', change))
  const [record] = await world.admin.pending()
  await world.restart()
  expect(await held).toMatchObject({ code: -32002, data: { code: 'shutting_down', approvalId: record!.id } })
  expect((await world.admin.record(record!.id)).status).toBe('pending')

  const again = await connect({ caller: world.agent, server: 'tools' })
  const answer = again.call('write', change)
  await world.admin.decide(record!.id, 'approve')
  expect((await answer).isError).toBe(false)
  expect(calls).toEqual([{ tool: 'write', args: change }])
})

test('without sessions, by revision 2026-07-28: lists, calls, holds, and picks up what was approved', async () => {
  const { url, calls } = await startStatelessTools()
  const { agent, admin } = await start({ tools: { url, mode: 'hold' }, retry: { url, mode: 'retry' } })
  const client = await connectStateless({ caller: agent, server: 'tools' })
  expect(client.sessionId()).toBeUndefined()
  expect(await client.tools()).not.toContain('drop')
  expect((await client.call('read', { path: 'x' })).texts).toEqual(['contents of x'])
  expect((await client.call('drop')).isError).toBe(true)
  const answer = client.call('write', change)
  const [record] = await admin.pending()
  expect(calls).toHaveLength(1)
  await admin.decide(record!.id, 'approve', { edits: { text: 'HELLO' } })
  expect((await answer).texts).toEqual(['wrote 5 characters to a.txt', expect.stringContaining('HELLO')])
  expect(calls.at(-1)).toEqual({ tool: 'write', args: { path: 'a.txt', text: 'HELLO' } })
  await admin.recordThat(record!.id, ({ status }) => status === 'settled')

  const retry = await connectStateless({ caller: agent, server: 'retry' })
  const { code, data } = await rejection(retry.call('write', change))
  expect(code).toBe(-32003)
  await admin.decide(String(data.approvalId), 'approve')
  expect((await retry.call('write', change)).isError).toBe(false)
  expect(calls).toHaveLength(3)
})

test('twenty of the same call at once after one approval: one of them goes', async () => {
  const { url, calls } = await startHttpTools()
  const { agent, admin } = await start({ tools: { url, mode: 'retry' } })
  const client = await connect({ caller: agent, server: 'tools' })
  const { data } = await rejection(client.call('write', change))
  await admin.decide(String(data.approvalId), 'approve')
  const answers = await Promise.allSettled(Array.from({ length: 20 }, () => client.call('write', change)))
  const results = answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  expect(results.filter(({ isError }) => !isError)).toHaveLength(1)
  expect(calls).toEqual([{ tool: 'write', args: change }])
})

test('a stream that breaks off and is resumed on another: the answer counts, and tools stay filtered there', async () => {
  const { url } = await startScripted((message, request, response) => {
    if (message?.method === 'initialize') {
      json(response, { jsonrpc: '2.0', id: message.id, result: {} }, { 'mcp-session-id': 'one' })
    } else if (message?.method === 'tools/call') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end('id: e1\ndata: \n\n')
    } else if (request.headers['last-event-id'] === 'e1') {
      const result = { content: [{ type: 'text', text: 'late' }] }
      const tools = { tools: [{ name: 'read' }, { name: 'drop' }], nextCursor: 'more' }
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .write(`id: e2\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: 7, result })}\n\n`)
      response.end(`id: e3\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: 8, result: tools })}\n\n`)
    } else response.writeHead(405).end()
  })
  const { agent, admin } = await start({ tools: { url, mode: 'hold' } })
  const begun = await raw(agent, '/mcp/tools', HELLO)
  const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  const called = raw(agent, '/mcp/tools', call('write', change, 7), { headers: session })
  const [record] = await admin.pending()
  await admin.decide(record!.id, 'approve', { edits: { text: 'HELLO' } })
  expect((await called).text).toContain('id: e1\n')
  expect((await admin.record(record!.id)).status).toBe('claimed')

  const resumed = await raw(agent, '/mcp/tools', undefined, {
    method: 'GET',
    headers: { ...session, 'last-event-id': 'e1' },
  })
  const [first, second] = [...resumed.text.matchAll(/^data: (\{.*)$/gm)].map(([, text = '']) => JSON.parse(text))
  expect(first).toMatchObject({
    id: 7,
    result: { content: [{ text: 'late' }, { text: expect.stringContaining('changed arguments') }] },
  })
  expect(second).toEqual({ jsonrpc: '2.0', id: 8, result: { tools: [{ name: 'read' }], nextCursor: 'more' } })
  const settled = await admin.recordThat(record!.id, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'executed' })
  expect((await raw(agent, '/mcp/tools', undefined, { method: 'GET', headers: session })).status).toBe(405)
})

test('what a server does wrong is told, and an approval is given back only where nothing can have run', async () => {
  const said = new Map<string, (message: Record<string, unknown>, response: ServerResponse) => void>([
    ['cut', (_, response) => response.socket?.destroy()],
    ['mute', (_, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end()],
    ['broken', (_, response) => response.writeHead(500).end()],
    ['closed', (_, response) => response.writeHead(401).end()],
    ['error', ({ id }, response) => json(response, { jsonrpc: '2.0', id, error: { code: -32602, message: 'no' } })],
    ['input', ({ id }, response) => json(response, { jsonrpc: '2.0', id, result: { resultType: 'input_required' } })],
  ])
  const { url, messages } = await startScripted((message = {}, _, response) => {
    const { name = '' } = (message.params ?? {}) as { name?: string }
    said.get(name)?.(message, response)
  })
  const rules = 'version: 1\ndefault: deny\nrules: [{ id: all, match: { server: tools }, action: require_approval }]\n'
  const { agent, admin } = await start({ tools: { url, mode: 'hold' } }, rules)
  const outcomes: string[] = []
  for (const tool of said.keys()) {
    const answer = raw(agent, '/mcp/tools', call(tool, {}))
    const [record] = await admin.pending()
    await admin.decide(record!.id, 'approve')
    const { message } = await answer
    const { status, settlement } = await admin.recordThat(record!.id, (each) => each.status !== 'claimed')
    outcomes.push(`${tool}: ${message.error?.code ?? 'result'}, ${settlement?.outcome ?? status}`)
  }
  expect(outcomes).toEqual([
    'cut: -32002, unknown',
    'mute: -32002, unknown',
    'broken: -32002, unknown',
    'closed: -32002, approved',
    'error: -32602, approved',
    'input: result, approved',
  ])
  expect(messages.map(({ params }) => (params as { name: string }).name)).toEqual([...said.keys()])
})

test('the client is gone, and its approved call runs: what came of it is on record', async () => {
  let finish = () => {}
  const { url } = await startScripted((message, _, response) => {
    if (message?.method === 'initialize')
      return json(response, { jsonrpc: '2.0', id: message.id, result: {} }, { 'mcp-session-id': 'one' })
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': working\n\n')
    finish = () =>
      response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message?.id, result: { content: [] } })}\n\n`)
  })
  const { agent, admin } = await start({ tools: { url, mode: 'retry' } })
  const begun = await raw(agent, '/mcp/tools', HELLO)
  const headers = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  const { message } = await raw(agent, '/mcp/tools', call('write', change), { headers })
  const { approvalId } = (message.error as unknown as { data: { approvalId: string } }).data
  await admin.decide(approvalId, 'approve')
  const controller = new AbortController()
  const response = await fetch(`${agent.url}/mcp/tools`, {
    method: 'POST',
    headers: { ...ACCEPT, ...headers, authorization: `Bearer ${agent.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify(call('write', change, 2)),
    signal: controller.signal,
  })
  expect(response.status).toBe(200)
  controller.abort()
  finish()
  const settled = await admin.recordThat(approvalId, ({ status }) => status === 'settled')
  expect(settled.settlement).toMatchObject({ outcome: 'executed' })
})
