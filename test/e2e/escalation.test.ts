import { expect, test } from 'vitest'
import { scenario, startWorld } from '../support/server.ts'
import { startReceiver, WEBHOOK_SECRET, type WebhookReceiver } from '../support/webhook-receiver.ts'

const POLICY = `
version: 1
default: allow
rules:
  - id: pay
    match: { tool: pay }
    action: require_approval
    approval:
      timeout: 1m
      approvers: ["group:finance"]
      escalation: [{ after: 4s, approvers: ["group:managers"], channels: [oncall] }]
  - { id: slow, match: { tool: slow }, action: require_approval, approval: { timeout: 1m, warn: 59s } }
  - id: patient
    match: { tool: patient }
    action: require_approval
    approval:
      timeout: 2s
      approvers: ["group:finance"]
      onTimeout: escalate
      escalation: [{ approvers: ["group:managers"] }, { approvers: ["group:board"] }]
`
const asynchronously = { headers: { prefer: 'respond-async' } }
const managers = { groups: ['managers'] }

scenario(
  'nobody decides: more people may, they are told, and the call that is held resumes with their word',
  async (world) => {
    const { agent, admin } = world
    const mona = await world.caller('mona', 'approver', managers)
    const stream = await mona.stream()
    const held = agent.ask('pay', { amount: 5 })
    const [asked] = await admin.pending()
    expect(asked?.approvers).toEqual(['group:finance'])
    expect(await mona.decide(asked!.id, 'approve')).toMatchObject({ status: 403, body: { code: 'not_an_approver' } })

    const { approval } = await stream.frame(({ event }) => event === 'escalated')
    expect(approval).toMatchObject({
      status: 'pending',
      approvers: ['group:finance', 'group:managers'],
      requirements: [{ rule: 'pay', anyOf: ['group:finance', 'group:managers'], approve: 1 }],
      escalated: [{ approvers: ['group:managers'] }],
      expiresAt: asked!.expiresAt,
    })
    const { history, ...record } = await admin.record(asked!.id)
    expect(record).toEqual(approval)
    expect(history?.at(-1)).toMatchObject({ type: 'escalated', step: 1, by: { type: 'system', via: 'sweeper' } })

    expect((await mona.decide(asked!.id, 'approve')).status).toBe(200)
    expect(await held).toMatchObject({ status: 200, body: { decidedBy: [{ name: 'mona' }] } })
  },
  { policy: POLICY },
)

scenario(
  'a timeout that escalates begins anew: the held call waits on, and whoever comes last is in time',
  async (world) => {
    const { agent, admin } = world
    const zoe = await world.caller('zoe', 'approver', { groups: ['board'] })
    const stream = await zoe.stream()
    const held = agent.ask('patient')
    const [asked] = await admin.pending()
    const isSecondStep = ({ event, approval }: (typeof stream.frames)[number]) =>
      event === 'escalated' && approval?.escalated?.length === 2
    const { approval } = await stream.frame(isSecondStep)
    expect(Date.parse(approval!.expiresAt)).toBeGreaterThanOrEqual(Date.parse(asked!.expiresAt) + 4_000)
    expect((await agent.send<{ expiresAt: string }>('GET', `/v1/actions/${asked!.id}`)).body.expiresAt).toBe(
      approval!.expiresAt,
    )
    expect((await zoe.decide(asked!.id, 'deny', { reason: 'no' })).status).toBe(200)
    expect(await held).toMatchObject({ status: 403, body: { code: 'approval_denied' } })
  },
  { policy: POLICY },
)

scenario(
  'after the last step nobody decides either: expired, as ever',
  async ({ agent, admin }) => {
    const { status, body } = await agent.ask('patient')
    expect([status, body.code]).toEqual([403, 'approval_expired'])
    const { history } = await admin.record(body.approvalId ?? '')
    // A warning comes before each of them, unless the sweeper was late.
    const steps = history?.map(({ type }) => type).filter((type) => type !== 'warned')
    expect(steps).toEqual(['requested', 'escalated', 'escalated', 'expired'])
  },
  { policy: POLICY },
)

scenario(
  'a server that was down when a step was due takes it when it is back',
  async (world) => {
    const { agent, admin } = world
    const { body } = await agent.ask('pay', {}, asynchronously)
    const id = body.approvalId ?? ''
    await admin.pending()
    await world.stop()
    await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(Date.parse(body.expiresAt ?? '') - 55_500)
    await world.restart()
    const mona = await world.caller('mona', 'approver', managers)
    await admin.recordThat(id, ({ escalated }) => escalated?.length === 1)
    expect((await mona.decide(id, 'approve')).status).toBe(200)
  },
  { policy: POLICY },
)

test('the endpoints that a step names are told of it, whatever they want to hear otherwise; others as they want', async () => {
  const [oncall, warned, other] = [await startReceiver(), await startReceiver(), await startReceiver()]
  const hook = (id: string, { url }: WebhookReceiver, event: string) => ({
    id,
    url,
    secret: WEBHOOK_SECRET,
    events: [event],
  })
  const world = await startWorld({
    policy: POLICY,
    config: JSON.stringify({
      network: { allowPrivate: ['127.0.0.1'] },
      webhooks: [
        hook('oncall', oncall, 'approval.settled'),
        hook('warned', warned, 'approval.expiring'),
        hook('other', other, 'approval.decided'),
      ],
    }),
  })
  const { body } = await world.agent.ask('pay', {}, asynchronously)
  await oncall.until(() => oncall.received.length === 1, 'the step')
  expect(oncall.received[0]?.body).toMatchObject({
    type: 'approval.escalated',
    data: { id: body.approvalId, approvers: ['group:finance', 'group:managers'] },
  })
  await world.agent.ask('slow', {}, asynchronously)
  await warned.until(() => warned.received.length === 1, 'the warning')
  expect(warned.received[0]?.body).toMatchObject({ type: 'approval.expiring', data: { status: 'pending' } })
  await (await world.caller('frank', 'approver', { groups: ['finance'] })).decide(body.approvalId ?? '', 'deny')
  await other.until(() => other.received.length === 1, 'the decision')
  expect(other.received[0]?.body.type).toBe('approval.decided')
  await oncall.until(() => oncall.received.length === 2, 'the outcome of what it was told of')
  expect(oncall.received[1]?.body).toMatchObject({ type: 'approval.decided', data: { id: body.approvalId } })
  expect(warned.received.map(({ body: { type } }) => type)).not.toContain('approval.decided')
})
