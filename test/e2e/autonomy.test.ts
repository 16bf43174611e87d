import { expect, test } from 'vitest'
import { sha256Hex } from '../../lib/core/canonical-json.ts'
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

test('a level that nobody knows is refused at the start, by name', async () => {
  const error = await startWorld({ config: 'agents: [{ name: a, autonomy: free }]' }).catch((failure: Error) => failure)
  expect(String(error)).toContain('agents.0.autonomy')
})
