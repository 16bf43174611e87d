import { expect, test } from 'vitest'
import { sha256Hex } from '../../lib/core/canonical-json.ts'
import { runCountersign } from '../support/process.ts'
import { Caller, scenario, startWorld } from '../support/server.ts'

const POLICY = `
version: 1
default: allow
classify:
  - { label: "data:delete", match: { tool: "*.delete" } }
  - { label: "files:read", match: { tool: read } }
rules:
  - { id: bots, match: { tool: bots, agentType: bot }, action: deny }
`
const asynchronously = { headers: { prefer: 'respond-async' } }
const SECRET = 'csk_test-of-autonomy-0123456789'
const CONFIG = `
agents:
  - { name: agent, autonomy: supervised }
  - { name: free, autonomy: full, type: bot, keySha256: "${sha256Hex(SECRET)}" }
`

scenario(
  'an agent runs alone as far as its level goes, whether its key is listed or in the key store',
  async (world) => {
    const { agent, admin, url } = world
    const free = new Caller(url, SECRET, 'free')
    const other = await world.caller('other', 'agent')
    const statuses = async (tool: string) =>
      Promise.all([free, other, agent].map(async (each) => (await each.ask(tool, {}, asynchronously)).status))
    // full, the default semi, supervised
    expect(await statuses('read')).toEqual([200, 200, 200])
    expect(await statuses('write')).toEqual([200, 200, 202])
    expect(await statuses('rows.delete')).toEqual([200, 202, 202])
    const records = await admin.pending(3)
    expect(records.map(({ rule }) => rule.id)).toEqual(['autonomy', 'autonomy', 'autonomy'])
    expect(await free.ask('bots')).toMatchObject({ status: 403, body: { code: 'policy_denied' } })
    expect(await other.ask('bots')).toMatchObject({ status: 200 })
  },
  { policy: POLICY, config: CONFIG },
)

scenario(
  'a session is as tight as the agent says, and never looser than its key',
  async ({ agent, admin, url }) => {
    const free = new Caller(url, SECRET, 'free')
    const status = async (caller: Caller, tool: string, autonomy: string) =>
      (await caller.ask(tool, {}, { ...asynchronously, context: { autonomy } })).status
    expect(await status(free, 'rows.delete', 'full')).toBe(200)
    expect(await status(free, 'rows.delete', 'semi')).toBe(202)
    expect(await status(free, 'read', 'locked')).toBe(202)
    // The agent's own level is supervised.
    expect(await status(agent, 'write', 'full')).toBe(202)
    expect(await status(free, 'write', 'no-such-level')).toBe(202)
    expect(await status(free, 'bots', 'locked')).toBe(403)
    const records = await admin.pending(4)
    expect(records.flatMap(({ rule }) => rule.why).sort()).toEqual([
      expect.stringContaining('The level locked'),
      expect.stringContaining('The level locked'),
      expect.stringContaining('The level semi'),
      expect.stringContaining('The level supervised'),
    ])
  },
  { policy: POLICY, config: CONFIG },
)

scenario(
  'a hook is as tight as its header says, and the command passes on what its environment says',
  async ({ url, dataDir }) => {
    const free = new Caller(url, SECRET, 'free')
    const call = { hook_event_name: 'PreToolUse', session_id: 's', tool_name: 'read', tool_input: { path: '/a' } }
    const decision = async (headers: Record<string, string>) =>
      (await free.send('POST', '/hooks/claude-code', { body: call, headers })).headers.get('countersign-decision')
    const atOnce = { prefer: 'respond-async' }
    expect(await decision(atOnce)).toBe('none')
    expect(await decision({ ...atOnce, 'countersign-autonomy': 'full' })).toBe('none')
    expect(await decision({ ...atOnce, 'countersign-autonomy': 'locked' })).toBe('pending')
    expect(await decision({ ...atOnce, 'countersign-autonomy': 'full, locked' })).toBe('pending')

    const command = async (autonomy: string) => {
      const args = ['hook', 'claude-code', '--url', url, '--token', SECRET, '--wait', '0']
      const run = runCountersign(args, { cwd: dataDir, env: { COUNTERSIGN_AUTONOMY: autonomy } })
      run.child.stdin.end(JSON.stringify(call))
      return { code: await run.exited, out: run.stdout(), err: run.stderr() }
    }
    const [open, locked, odd] = await Promise.all(['', 'locked', 'no level'].map(command))
    expect([open?.code, open?.out.trim()]).toEqual([0, '{}'])
    expect(locked?.out).toContain('"permissionDecision":"deny"')
    expect([odd?.code, odd?.err]).toEqual([2, expect.stringContaining('COUNTERSIGN_AUTONOMY takes full, semi')])
  },
  { policy: POLICY, config: CONFIG },
)

test('a level that nobody knows is refused at the start, by name', async () => {
  const error = await startWorld({ config: 'agents: [{ name: a, autonomy: free }]' }).catch((failure: Error) => failure)
  expect(String(error)).toContain('agents.0.autonomy')
})
