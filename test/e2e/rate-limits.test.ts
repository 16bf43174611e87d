import { expect } from 'vitest'
import { type Caller, scenario } from '../support/server.ts'

const POLICY = `
version: 1
default: allow
settings: { timeout: 1m, denialMemory: 0s }
rules:
  - { id: mail-limit, match: { tool: "mail.*" }, action: rate_limit, rate_limit: { limit: 2, window: 1m, key: [args.account] } }
  - { id: pay, match: { tool: pay }, action: require_approval, approval: { onDisconnect: keep } }
  - { id: pay-limit, match: { tool: pay }, action: rate_limit, rate_limit: { limit: 2, window: 1m } }
`
const options = { policy: POLICY }
const asynchronously = { headers: { prefer: 'respond-async' } }

/** Asks, and has it approved; resolves with the id. */
async function approved(agent: Caller, admin: Caller, args: unknown): Promise<string> {
  const { status, body } = await agent.ask('pay', args, asynchronously)
  expect(status).toBe(202)
  await admin.decide(body.approvalId!, 'approve')
  return body.approvalId!
}

scenario(
  'what goes beyond a limit is refused with a time to come back, per key, and no record is made',
  async ({ agent, admin }) => {
    for (let call = 0; call < 2; call++)
      expect(await agent.ask('mail.send', { account: 'a' })).toMatchObject({ status: 200 })
    const refused = await agent.ask('mail.send', { account: 'A ' })
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', retryable: true } })
    expect(refused.body.detail).toContain('mail-limit')
    const retryAfter = Number(refused.headers.get('retry-after'))
    expect(retryAfter).toBeGreaterThan(0)
    expect(retryAfter).toBeLessThanOrEqual(62)

    expect(await agent.ask('mail.send', { account: 'b' })).toMatchObject({ status: 200 })
    const { body } = await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')
    expect(body.items).toEqual([])
    const metrics = await fetch(`${admin.url}/metrics`, { headers: { authorization: `Bearer ${admin.secret}` } })
    expect(await metrics.text()).toContain('countersign_rate_limited_total{rule="mail-limit"} 1\n')
  },
  options,
)

scenario(
  'waiting and being approved spend nothing; going does, and a use over the limit is given back',
  async ({ agent, admin }) => {
    const ids = [
      await approved(agent, admin, { n: 1 }),
      await approved(agent, admin, { n: 2 }),
      await approved(agent, admin, { n: 3 }),
    ]
    expect(await agent.ask('pay', { n: 1 })).toMatchObject({ status: 200, body: { approvalId: ids[0] } })
    expect(await agent.ask('pay', { n: 2 })).toMatchObject({ status: 200, body: { approvalId: ids[1] } })
    const over = await agent.ask('pay', { n: 3 })
    expect(over).toMatchObject({ status: 429, body: { code: 'rate_limited', approvalId: ids[2] } })
    expect(over.headers.get('retry-after')).not.toBeNull()
    await admin.recordThat(ids[2]!, ({ status }) => status === 'approved')

    // Nobody is asked for what could not go.
    expect(await agent.ask('pay', { n: 4 }, asynchronously)).toMatchObject({ status: 429 })
    const { body } = await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')
    expect(body.items).toHaveLength(3)
  },
  options,
)

scenario(
  'a use that was not executed is given back to the limit, once; one that was executed is not',
  async ({ agent, admin }) => {
    const ids = [await approved(agent, admin, { n: 1 }), await approved(agent, admin, { n: 2 })]
    await approved(agent, admin, { n: 3 })
    for (const n of [1, 2]) expect(await agent.ask('pay', { n })).toMatchObject({ status: 200 })
    const report = (id: string, status: string) =>
      agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status, use: 1 } })
    expect(await report(ids[0]!, 'executed')).toMatchObject({ status: 200 })
    expect(await agent.ask('pay', { n: 3 })).toMatchObject({ status: 429 })

    expect(await report(ids[1]!, 'not_executed')).toMatchObject({ status: 200 })
    await report(ids[1]!, 'not_executed')
    expect(await agent.ask('pay', { n: 3 })).toMatchObject({ status: 200 })
    expect(await agent.ask('pay', { n: 2 })).toMatchObject({ status: 429 })
  },
  options,
)

scenario(
  'a gate takes its share of a limit, one call at least',
  async ({ agent }) => {
    expect(await agent.ask('mail.send')).toMatchObject({ status: 200 })
    expect(await agent.ask('mail.send')).toMatchObject({ status: 429 })
  },
  { policy: POLICY, config: 'gate: { rateLimitShare: 0.3 }\n' },
)
