import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { StdioSession } from '../../../lib/adapters/mcp/stdio-session.ts'
import { createStdioUpstream } from '../../../lib/adapters/mcp/stdio-upstream.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { McpReply } from '../../../lib/ports/mcp-upstream.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'

/** Answers every request with its method, says on stderr what it got, and ends at `die`. */
const SCRIPT = `
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, method } = JSON.parse(line)
    console.error('got ' + method)
    if (method === 'die') process.exit(1)
    if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result: { method } }))
  })`
const settings = { name: 'tools', command: process.execPath, args: ['-e', SCRIPT], env: {}, cwd: undefined }

/** Short waits are over at once, and are noted; long ones never end. */
function hastyClock(): Clock & { waits: number[] } {
  let now = 0
  const waits: number[] = []
  return {
    waits,
    now: () => now,
    after(ms, callback) {
      if (ms > 5_000) return () => {}
      waits.push(ms)
      now += ms
      const immediate = setImmediate(callback)
      return () => clearImmediate(immediate)
    },
  }
}

const request = (id: number, method: string) => ({ jsonrpc: '2.0', id, method, params: {} })
const signal = new AbortController().signal

async function outcome(reply: McpReply): Promise<string> {
  if (reply.type !== 'messages') return reply.type === 'unreached' ? `unreached: ${reply.detail}` : reply.type
  try {
    for await (const { data } of reply.events) return JSON.stringify(JSON.parse(data).result)
    return 'ended'
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
}

test('a process that keeps ending is started again later and later, with the handshake, until nobody waits for it', async () => {
  const clock = hastyClock()
  const lines: string[] = []
  const log = {
    info: (fields: object) => void ('line' in fields && lines.push(String(fields.line))),
    warn: () => {},
  }
  const session = new StdioSession({ id: 'one', agent: 'a', settings, clock, log })
  onTestFinished(() => session.close())
  expect(await outcome(await session.post(request(1, 'initialize'), signal))).toBe('{"method":"initialize"}')
  await session.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, signal)
  for (let time = 1; time <= 6; time++)
    expect(await outcome(await session.post(request(time, 'die'), signal))).toBe('its process ended')
  expect(clock.waits).toEqual([250, 500, 1_000, 2_000, 4_000])
  expect(await outcome(await session.post(request(7, 'ping'), signal))).toBe(
    'unreached: it keeps ending; it is started again in 8 s',
  )
  const life = ['got initialize', 'got notifications/initialized', 'got die']
  await expect.poll(() => lines).toEqual(Array.from({ length: 6 }, () => life).flat())
})

test('a request with the id of one that is under way is refused, and so is a second handshake', async () => {
  const silent = { ...settings, args: ['-e', 'process.stdin.resume()'] }
  const session = new StdioSession({
    ...{ id: 'one', agent: 'a', settings: silent, clock: systemClock },
    log: { info: () => {}, warn: () => {} },
  })
  onTestFinished(() => session.close())
  expect((await session.post(request(1, 'initialize'), signal)).type).toBe('messages')
  expect(await session.post(request(2, 'initialize'), signal)).toMatchObject({ type: 'refused', status: 400 })
  expect((await session.post(request(3, 'ping'), signal)).type).toBe('messages')
  expect(await session.post(request(3, 'ping'), signal)).toMatchObject({ type: 'refused', status: 400 })
})

test('what a client takes back is over; who listens last is told', async () => {
  const silent = { ...settings, args: ['-e', 'process.stdin.resume()'] }
  const session = new StdioSession({
    ...{ id: 'one', agent: 'a', settings: silent, clock: systemClock },
    log: { info: () => {}, warn: () => {} },
  })
  onTestFinished(() => session.close())
  const held = await session.post(request(7, 'slow'), signal)
  await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } }, signal)
  expect(await outcome(held)).toBe('ended')
  const first = session.listen(signal)
  const left = new AbortController()
  const second = session.listen(left.signal)
  expect(await outcome(first)).toBe('ended')
  expect(session.isIdle).toBe(false)
  left.abort()
  expect(await outcome(second)).toBe('ended')
  expect(session.isIdle).toBe(true)
})

/** Says who it is, and reads nothing. */
const DEAF = `
  console.log(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/pid', params: { pid: process.pid } }))
  setInterval(() => {}, 1_000)`
const LONG = { ...request(2, 'tools/call'), params: { text: 'x'.repeat(1_000_000) } }

async function startDeaf(): Promise<{ session: StdioSession; pid: number }> {
  const session = new StdioSession({
    ...{ id: 'one', agent: 'a', settings: { ...settings, args: ['-e', DEAF] }, clock: systemClock },
    log: { info: () => {}, warn: () => {} },
  })
  onTestFinished(() => session.close())
  await session.post({ jsonrpc: '2.0', method: 'notifications/hello' }, signal)
  const told = session.listen(signal)
  if (told.type !== 'messages') throw new Error(told.type)
  for await (const { data } of told.events) return { session, pid: JSON.parse(data).params.pid }
  throw new Error('it said nothing')
}

test('a process that ends while its pipe is full: what was being written is lost, at once', async () => {
  const { session, pid } = await startDeaf()
  const call = session.post(LONG, signal)
  await expect.poll(() => session.isIdle).toBe(false)
  const note = session.post({ jsonrpc: '2.0', method: 'notifications/x' }, signal)
  process.kill(pid, 'SIGKILL')
  expect(await call).toEqual({ type: 'lost', detail: 'its process ended' })
  expect(await note).toEqual({ type: 'lost', detail: 'its process ended' })
})

test('an exchange that ends while the pipe is full is over, and its id is free again', async () => {
  const { session } = await startDeaf()
  const left = new AbortController()
  const call = session.post(LONG, left.signal)
  await expect.poll(() => session.isIdle).toBe(false)
  left.abort()
  expect(await call).toMatchObject({ type: 'lost' })
  expect(session.isIdle).toBe(true)
})

test('an agent has half of the sessions, and its longest idle one makes way; what is in use does not', async () => {
  const upstream = createStdioUpstream({
    settings: { ...settings, maxSessions: 4, idleMs: 60_000 },
    ...{ clock: systemClock, log: { info: () => {}, warn: () => {} }, newId: randomUUID },
  })
  onTestFinished(() => upstream.close())
  const send = (agent: string, message: object | null, session: string | null = null) =>
    upstream.exchange({
      ...{ method: message === null ? 'GET' : 'POST', agent, session, headers: {}, fresh: false, signal },
      message: message === null ? null : JSON.stringify(message),
    })
  const begin = async (agent: string) => {
    const reply = await send(agent, request(1, 'initialize'))
    if (reply.type !== 'messages' || reply.session === null) throw new Error(JSON.stringify(reply))
    await outcome(reply)
    return reply.session
  }
  const first = await begin('a')
  const second = await begin('a')
  expect(await outcome(await send('a', request(2, 'ping'), first))).toBe('{"method":"ping"}')
  const third = await begin('a')
  expect(await send('a', request(2, 'ping'), second)).toMatchObject({ type: 'refused', status: 404 })
  for (const session of [first, third]) expect((await send('a', null, session)).type).toBe('messages')
  expect(await send('a', request(1, 'initialize'))).toMatchObject({
    type: 'refused',
    status: 429,
    body: expect.stringContaining('This agent has 2 sessions'),
  })

  await begin('b')
  const dying = await begin('c')
  expect(await outcome(await send('c', request(2, 'die'), dying))).toBe('its process ended')
  await begin('d')
  expect(await send('c', request(2, 'ping'), dying)).toMatchObject({ type: 'refused', status: 404 })
  expect(await send('e', request(1, 'initialize'))).toMatchObject({
    type: 'refused',
    status: 429,
    body: expect.stringContaining('This server has 4 sessions'),
  })
})

test('a session that nobody uses is closed', async () => {
  const upstream = createStdioUpstream({
    settings: { ...settings, maxSessions: 1, idleMs: 1 },
    ...{ clock: systemClock, log: { info: () => {}, warn: () => {} }, newId: randomUUID },
  })
  onTestFinished(() => upstream.close())
  const post = (message: object, session: string | null, agent = 'a') =>
    upstream.exchange({
      ...{ method: 'POST', agent, session, headers: {}, fresh: false, signal },
      message: JSON.stringify(message),
    })
  const begun = await post(request(1, 'initialize'), null)
  expect(await outcome(begun)).toBe('{"method":"initialize"}')
  expect((await post(request(1, 'initialize'), null, 'b')).type).toBe('refused')
  const session = begun.type === 'messages' ? begun.session : null
  await expect
    .poll(async () => (await post(request(1, 'initialize'), null, 'b')).type, { timeout: 10_000 })
    .toBe('messages')
  expect(await post(request(2, 'ping'), session)).toMatchObject({ type: 'refused', status: 404 })
})
