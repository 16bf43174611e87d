import { expect } from 'vitest'
import { scenario } from '../support/server.ts'

const POLICY = `
version: 1
default: allow
settings: { timeout: 1m, dedupeWindow: 0s }
rules:
  - { id: each, match: { tool: each }, action: require_approval }
  - { id: second, match: { tool: second }, action: require_approval, approval: { dedupeWindow: 3s } }
  - { id: minute, match: { tool: minute }, action: require_approval, approval: { dedupeWindow: 1m } }
`
const asynchronously = { headers: { prefer: 'respond-async' } }

scenario(
  'within the window the same call joins, after it the call is a new question',
  async ({ agent, admin }) => {
    const ask = async (tool: string) => (await agent.ask(tool, { n: 1 }, asynchronously)).body.approvalId ?? ''
    const first = await ask('second')
    expect(await ask('second')).toBe(first)
    await expect.poll(() => ask('second'), { timeout: 10_000, interval: 50 }).not.toBe(first)
    const [newer, older] = await admin.pending(2)
    expect([older?.id, Date.parse(newer!.requestedAt) - Date.parse(older!.requestedAt)]).toEqual([
      first,
      expect.toSatisfy((ms: number) => ms >= 3_000),
    ])
    expect(await ask('minute')).toBe(await ask('minute'))
  },
  { policy: POLICY },
)

scenario(
  'where each call is a question of its own, an approval still serves the next one, once',
  async ({ agent, admin }) => {
    const ask = (headers = {}) => agent.ask('each', { n: 1 }, { headers: { ...asynchronously.headers, ...headers } })
    const [first, second] = [await ask(), await ask()]
    expect(second.body.approvalId).not.toBe(first.body.approvalId)
    await admin.decide(second.body.approvalId ?? '', 'approve')
    expect(await ask()).toMatchObject({ status: 200, body: { approvalId: second.body.approvalId } })
    expect((await ask()).status).toBe(202)
  },
  { policy: POLICY },
)

scenario(
  'who names the approval, or has its Idempotency-Key, joins whatever the window is',
  async ({ agent }) => {
    const ask = async (headers: Record<string, string>) =>
      (await agent.ask('each', { n: 1 }, { headers: { ...asynchronously.headers, ...headers } })).body.approvalId ?? ''
    const key = { 'idempotency-key': 'k1' }
    const id = await ask(key)
    expect(await ask(key)).toBe(id)
    expect(await ask({ 'countersign-approval': id })).toBe(id)
  },
  { policy: POLICY },
)
