import { describe, expect, it, onTestFinished } from 'vitest'
import type { McpEvent, McpReply, McpRequest, McpUpstream } from '../../lib/ports/mcp-upstream.ts'
import type { ToolCall } from '../support/mcp-tools.ts'

export interface McpUpstreamHarness {
  upstream: McpUpstream
  /** The tools' calls so far. */
  calls(): ToolCall[]
  /** From here on nothing can be reached or started. */
  breakDown(): Promise<void>
}

const HELLO = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'tests', version: '1' } },
}
const call = (id: number, name: string, args: object, meta: object = {}) => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call' },
  params: { name, arguments: args, _meta: meta },
})

/** What every way to an MCP server must do. */
export function runMcpUpstreamConformance(name: string, start: () => Promise<McpUpstreamHarness>): void {
  async function begin() {
    const harness = await start()
    onTestFinished(() => harness.upstream.close())
    const send = (message: object | null, more: Partial<McpRequest> = {}) =>
      harness.upstream.exchange({
        ...{
          method: 'POST',
          agent: 'a',
          session: null,
          headers: {},
          fresh: false,
          signal: new AbortController().signal,
        },
        message: message === null ? null : JSON.stringify(message),
        ...more,
      })
    const open = async () => {
      const reply = await send(HELLO)
      const [answer] = await read(reply)
      expect(answer).toMatchObject({ id: 0, result: { serverInfo: { name: 'tools' } } })
      const session = reply.type === 'messages' ? reply.session : null
      expect(session).toEqual(expect.any(String))
      const headers = { 'mcp-protocol-version': '2025-06-18' }
      const ready = await send({ jsonrpc: '2.0', method: 'notifications/initialized' }, { session, headers })
      expect(ready.type).toBe('accepted')
      return { session, headers }
    }
    return { ...harness, send, open }
  }

  describe(`an MCP server: ${name}`, () => {
    it('begins a session with initialize, and answers each request of it', async () => {
      const { send, open, calls } = await begin()
      const session = await open()
      const steps = await read(await send(call(1, 'steps', {}, { progressToken: 'p' }), session))
      expect(steps.map(({ method, id }) => method ?? id)).toEqual([
        ...Array.from({ length: 3 }, () => 'notifications/progress'),
        1,
      ])
      const [answer] = await read(await send(call(2, 'read', { path: 'ä\n"x"' }), session))
      expect(answer).toMatchObject({ id: 2, result: { content: [{ text: 'contents of ä\n"x"' }] } })
      expect(calls()).toEqual([
        { tool: 'steps', args: {} },
        { tool: 'read', args: { path: 'ä\n"x"' } },
      ])
    })

    it('answers requests that are under way at once, each its own', async () => {
      const { send, open, calls } = await begin()
      const session = await open()
      const texts = await Promise.all(
        Array.from({ length: 20 }, async (_, id) => {
          const [answer] = await read(await send(call(id + 1, 'read', { path: `${id}` }), session))
          return [answer?.id, JSON.stringify(answer?.result)]
        }),
      )
      for (const [index, [id, text]] of texts.entries()) {
        expect(id).toBe(index + 1)
        expect(text).toContain(`contents of ${index}"`)
      }
      expect(calls()).toHaveLength(20)
    })

    it('tells who listens what the server says by itself, and the server what it asked for', async () => {
      const { send, open } = await begin()
      const session = await open()
      const left = new AbortController()
      const listening = await send(null, { method: 'GET', ...session, signal: left.signal })
      if (listening.type !== 'messages') throw new Error(listening.type)
      const heard: unknown[] = []
      const ended = (async () => {
        for await (const { data } of listening.events) if (data !== '') heard.push(JSON.parse(data).method)
      })().catch(() => {})
      await read(await send(call(1, 'grow', {}), session))
      await expect.poll(() => heard).toContain('notifications/tools/list_changed')
      left.abort()
      await ended
    })

    it('refuses a session that it does not know, and one that is over', async () => {
      const { send, open, calls } = await begin()
      const session = await open()
      const unknown = await send(call(1, 'read', { path: 'x' }), { ...session, session: 'made-up' })
      expect(unknown).toMatchObject({ type: 'refused', status: 404 })
      expect((await send(null, { method: 'DELETE', ...session })).type).toBe('accepted')
      expect(await send(call(1, 'read', { path: 'x' }), session)).toMatchObject({ type: 'refused', status: 404 })
      expect(calls()).toEqual([])
    })

    it('says when nothing was sent', async () => {
      const { send, breakDown } = await begin()
      await breakDown()
      expect(await send(HELLO)).toEqual({ type: 'unreached', detail: expect.any(String) })
    })

    it('ends what is under way when it is closed', async () => {
      const { send, open, upstream } = await begin()
      const session = await open()
      const listening = await send(null, { method: 'GET', ...session })
      const read = reading(listening).then(
        () => 'ended',
        () => 'broken off',
      )
      await upstream.close()
      expect(await read).toMatch(/ended|broken off/)
      expect((await send(call(1, 'read', { path: 'x' }), session)).type).toMatch(/unreached|lost/)
    })
  })
}

type Message = Record<string, unknown>

/** All messages of a reply. */
async function read(reply: McpReply): Promise<Message[]> {
  return (await reading(reply)).filter(({ data }) => data !== '').map(({ data }) => JSON.parse(data) as Message)
}

async function reading(reply: McpReply): Promise<McpEvent[]> {
  if (reply.type !== 'messages') throw new Error(JSON.stringify(reply))
  const events: McpEvent[] = []
  for await (const event of reply.events) events.push(event)
  return events
}
