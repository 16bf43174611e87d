import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CLIENTS } from '../support/mcp-clients.ts'
import { startHttpTools, stdioTools } from '../support/mcp-servers.ts'
import { runCountersign } from '../support/process.ts'
import { startWorld, type World } from '../support/server.ts'

const policy = `
version: 1
default: allow
settings: { timeout: 1m }
rules:
  - { id: writes, match: { server: "*", tool: write }, action: require_approval }
  - { id: drops, match: { server: "*", tool: drop }, action: deny }
`
const change = { path: 'a.txt', text: 'hello' }

const start = (upstream: object, mode = 'hold'): Promise<World> =>
  startWorld({ policy, config: JSON.stringify({ mcp: { tools: { ...upstream, mode } } }) })

const commandFor = ({ url, agent }: World, server = 'tools'): string[] => [
  ...['--import', fileURLToPath(import.meta.resolve('tsx'))],
  fileURLToPath(new URL('../../clients/cli/main.ts', import.meta.url)),
  ...['mcp', '--server', server, '--url', url, '--token', agent.secret],
]

/** The command as a process that is spoken to by lines. */
function speak(args: string[], more: Record<string, string> = {}) {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-mcp-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  const env = { COUNTERSIGN_URL: '', COUNTERSIGN_KEY: '', COUNTERSIGN_TOKEN: '', ...more }
  const run = runCountersign(['mcp', ...args], { cwd, env })
  const answers: Record<string, unknown>[] = []
  const waiting = new Map<unknown, (answer: Record<string, unknown>) => void>()
  createInterface({ input: run.child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as Record<string, unknown>
    answers.push(answer)
    waiting.get(answer.id)?.(answer)
  })
  let ids = 0
  return {
    ...run,
    answers,
    send: (message: unknown) =>
      run.child.stdin.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`),
    ask(method: string, params: object = {}): Promise<Record<string, unknown> & { error?: Record<string, unknown> }> {
      const id = ++ids
      run.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
      return new Promise((resolve) => waiting.set(id, resolve))
    },
  }
}

const HELLO = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'tests', version: '1' } }

describe.each(Object.entries(CLIENTS))('countersign mcp, with %s', (_, connect) => {
  test('is the server of the gate: lists, calls, holds, tells what was changed', async () => {
    const { url, calls, sessions } = await startHttpTools()
    const world = await start({ url })
    const client = await connect({ command: commandFor(world) })
    expect(await client.tools()).toEqual(['read', 'write', 'fail', 'pid', 'crash', 'ask', 'steps', 'grow'])
    expect((await client.call('read', { path: 'x' })).texts).toEqual(['contents of x'])
    expect((await client.call('drop')).texts[0]).toContain('Denied by the rule drops.')
    expect((await client.call('ask', { question: 'Which?' })).texts).toEqual(['the user said {"word":"please"}'])

    const answer = client.call('write', change)
    const [record] = await world.admin.pending()
    expect(calls.map(({ tool }) => tool)).toEqual(['read', 'ask'])
    await world.admin.decide(record!.id, 'approve', { edits: { text: 'HELLO' } })
    const { texts } = await answer
    expect(texts).toEqual(['wrote 5 characters to a.txt', expect.stringContaining('changed arguments')])
    expect(calls.at(-1)).toEqual({ tool: 'write', args: { path: 'a.txt', text: 'HELLO' } })
    expect(sessions()).toBe(1)
    await client.end()
    await expect.poll(sessions).toBe(0)
  })
})

test('the gate restarts: the session is begun anew, and what waits can be made again', async () => {
  const { command, args, calls } = stdioTools()
  const world = await start({ command, args })
  const { ask, send, stderr } = speak(['--server', 'tools', '--url', world.url, '--token', world.agent.secret])
  expect(await ask('initialize', HELLO)).toHaveProperty('result.serverInfo.name', 'tools')
  send({ jsonrpc: '2.0', method: 'notifications/initialized' })
  const held = ask('tools/call', { name: 'write', arguments: change })
  const [record] = await world.admin.pending()
  await world.restart()
  expect((await held).error).toMatchObject({ code: -32002, data: { code: 'shutting_down', approvalId: record!.id } })

  await world.admin.decide(record!.id, 'approve')
  expect(calls()).toEqual([])
  const again = await ask('tools/call', { name: 'write', arguments: change })
  expect(again).toMatchObject({ result: { content: [{ text: 'wrote 5 characters to a.txt' }] } })
  expect(calls()).toEqual([{ tool: 'write', args: change }])
  expect(stderr()).toContain('a new one was begun')
})

test('the gate is away, or refuses: errors that say so, and no hang', async () => {
  const { url } = await startHttpTools()
  const world = await start({ url })
  const wrongKey = speak(['--server', 'tools', '--url', world.url, '--token', 'csk_wrongwrongwrong'])
  expect((await wrongKey.ask('initialize', HELLO)).error).toMatchObject({
    code: -32001,
    message: 'Countersign: The key is unknown or was revoked.',
    data: { code: 'unauthenticated' },
  })
  const wrongName = speak(['--server', 'nobody', '--url', world.url, '--token', world.agent.secret])
  expect((await wrongName.ask('initialize', HELLO)).error).toMatchObject({
    message: 'Countersign: The configuration names no such MCP server.',
  })
  const { ask, send, answers, child, exited } = speak([
    '--server',
    'tools',
    '--url',
    world.url,
    '--token',
    world.agent.secret,
  ])
  await ask('initialize', HELLO)
  await world.stop()
  const away = await ask('tools/call', { name: 'write', arguments: change })
  expect(away.error).toMatchObject({ code: -32002, message: expect.stringMatching(/did not answer.*Is it running\?/) })
  send('{ nonsense')
  await expect.poll(() => answers.at(-1)).toMatchObject({ error: { code: -32700 } })
  child.stdin.end()
  expect(await exited).toBe(0)
})

test('what is missing or wrong in its options ends it with 2', async () => {
  const none = speak([])
  expect(await none.exited).toBe(2)
  expect(none.stderr()).toContain('--server')
  const nowhere = speak(['--server', 'tools'])
  expect(await nowhere.exited).toBe(2)
  expect(nowhere.stderr()).toContain('No gate is known')
  expect(nowhere.stdout()).toBe('')
})

test('a session may be tighter than its agent', async () => {
  const { url, calls } = await startHttpTools()
  const world = await start({ url }, 'retry')
  const args = ['--server', 'tools', '--url', world.url, '--token', world.agent.secret]
  const { ask, send } = speak(args, { COUNTERSIGN_AUTONOMY: 'locked' })
  await ask('initialize', HELLO)
  send({ jsonrpc: '2.0', method: 'notifications/initialized' })
  const asked = await ask('tools/call', { name: 'read', arguments: { path: 'x' } })
  expect(asked.error).toMatchObject({ code: -32003, data: { tool: 'read' } })
  expect(calls).toEqual([])
})
