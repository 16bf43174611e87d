import { describe, expect, test } from 'vitest'
import { startWorld } from '../support/server.ts'
import { startReceiver, verified, WEBHOOK_SECRET, type WebhookReceiver } from '../support/webhook-receiver.ts'

const configOf = (receivers: readonly Pick<WebhookReceiver, 'url'>[], more: object = {}) =>
  JSON.stringify({
    network: { allowPrivate: ['127.0.0.1'] },
    webhooks: receivers.map(({ url }, index) => ({ id: `hook-${index}`, url, secret: WEBHOOK_SECRET })),
    ...more,
  })
const ASYNC = { headers: { prefer: 'respond-async' } }
const typesOf = ({ received }: WebhookReceiver) => received.map(({ body: { type } }) => type)

describe('a receiver', () => {
  test('hears of a request, its decision and its outcome, signed as Standard Webhooks say', async () => {
    const receiver = await startReceiver()
    const world = await startWorld({ config: configOf([receiver]) })
    const asked = world.agent.ask('stripe.refund', { amount: 5, password: 'hunter2' })
    const [pending] = await world.admin.pending()
    await receiver.until(() => receiver.received.length === 1, 'the request')
    await world.admin.decide(pending!.id, 'approve', { reason: 'fine, with «quotes» and <b>' })
    const { body } = await asked
    await world.agent.send('POST', `/v1/actions/${body.approvalId}/outcome`, { body: { status: 'executed' } })
    await receiver.until(() => receiver.received.length === 3, 'three webhooks')
    expect(typesOf(receiver)).toEqual(['approval.requested', 'approval.decided', 'approval.settled'])
    for (const got of receiver.received) {
      expect(verified(got)).toEqual(got.body)
      expect(got.headers['user-agent']).toMatch(/^Countersign\/\d/)
      expect(got.text).not.toContain('hunter2')
    }
    const [requested, decided, settled] = receiver.received.map(({ body: { data } }) => data)
    expect(requested).toEqual(pending)
    expect(decided).toMatchObject({ id: pending!.id, status: 'approved', reason: 'fine, with «quotes» and <b>' })
    expect(settled).toMatchObject({ id: pending!.id, status: 'settled', settlement: { outcome: 'executed' } })
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(3)
  })

  test('that fails is tried again with the same message, and no more once it is decided', async () => {
    const receiver = await startReceiver({ reply: (_got, count) => ({ status: count === 1 ? 500 : 204 }) })
    const dead = await startReceiver({
      reply: ({ body }) => ({ status: body.type === 'approval.requested' ? 503 : 204 }),
    })
    const world = await startWorld({ config: configOf([receiver, dead]) })
    const { body } = await world.agent.ask('stripe.refund', { amount: 5 }, ASYNC)
    await receiver.until(() => receiver.received.length === 2, 'the second attempt')
    const [first, second] = receiver.received
    expect(second?.text).toBe(first?.text)
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    expect(() => verified(second!)).not.toThrow()
    await world.admin.decide(body.approvalId!, 'deny')
    await dead.until(() => dead.of('approval.decided').length === 1, 'the decision')
    const asked = dead.of('approval.requested').length
    // Its next attempt would have come before this one's second.
    await receiver.until(() => receiver.of('approval.decided').length === 2, 'the decision, twice')
    expect(dead.of('approval.requested')).toHaveLength(asked)
  })

  test('that redirects to an address which is not allowed gets nobody there', async () => {
    const forbidden = await startReceiver()
    const receiver = await startReceiver({
      reply: () => ({ status: 308, headers: { location: forbidden.url.replace('127.0.0.1', 'localhost') } }),
    })
    const world = await startWorld({ config: configOf([receiver]) })
    await world.agent.ask('stripe.refund', { amount: 5 }, ASYNC)
    await receiver.until(() => receiver.received.length === 2, 'the second attempt')
    expect(forbidden.received).toEqual([])
  })

  test('at a private address that the configuration does not allow hears nothing, and the agent feels nothing', async () => {
    const receiver = await startReceiver()
    const world = await startWorld({
      config: JSON.stringify({
        webhooks: [{ id: 'a', url: receiver.url.replace('http:', 'https:'), secret: WEBHOOK_SECRET }],
      }),
    })
    const asked = world.agent.ask('stripe.refund', { amount: 5 })
    const [pending] = await world.admin.pending()
    await world.admin.decide(pending!.id, 'approve')
    expect((await asked).body.effect).toBe('allow')
    expect(receiver.received).toEqual([])
    const metrics = async () =>
      (await fetch(`${world.url}/metrics`, { headers: { authorization: `Bearer ${world.admin.secret}` } })).text()
    await expect.poll(metrics).toContain('countersign_delivery_attempts_total{endpoint="a",outcome="failed"}')
  })

  test('hears of what happened while it was away, and while the server was', async () => {
    const receiver = await startReceiver()
    const world = await startWorld({ config: configOf([receiver]) })
    await receiver.close()
    const { body } = await world.agent.ask('stripe.refund', { amount: 5 }, ASYNC)
    await world.admin.decide(body.approvalId!, 'approve')
    await world.restart()
    const back = await startReceiver({ port: receiver.port })
    await back.until(() => back.of('approval.decided').length === 1, 'the decision')
  })

  test('is warned before the time runs out, and told of an escalation that names it, whatever it wants otherwise', async () => {
    const [all, pager, other] = [await startReceiver(), await startReceiver(), await startReceiver()]
    const hook = { secret: WEBHOOK_SECRET }
    const world = await startWorld({
      policy: `
version: 1
default: deny
rules:
  - id: payout
    match: { tool: payout }
    action: require_approval
    approval: { timeout: 4s, warn: 3s, escalation: [{ after: 2s, channels: [pager] }] }
`,
      config: JSON.stringify({
        network: { allowPrivate: ['127.0.0.1'] },
        webhooks: [
          { id: 'all', url: all.url, ...hook },
          { id: 'pager', url: pager.url, events: ['approval.decided'], ...hook },
          { id: 'other', url: other.url, events: ['approval.decided'], ...hook },
        ],
      }),
    })
    const { body } = await world.agent.ask('payout', {}, ASYNC)
    await all.until(() => all.received.length === 4, 'all of it')
    expect(typesOf(all)).toEqual(['approval.requested', 'approval.expiring', 'approval.escalated', 'approval.decided'])
    const [, expiring, escalated, decided] = all.received.map(({ body: { data } }) => data)
    expect(expiring).toMatchObject({ id: body.approvalId, status: 'pending', warnedAt: expect.any(String) })
    expect(escalated).toMatchObject({ status: 'pending', escalated: [{ approvers: [] }] })
    expect(decided).toMatchObject({ status: 'expired' })
    expect(all.received[2]?.body.escalation).toEqual({ step: 1 })
    for (const got of all.received) expect(() => verified(got)).not.toThrow()
    await pager.until(() => pager.received.length === 2, 'the escalation')
    expect(typesOf(pager)).toEqual(['approval.escalated', 'approval.decided'])
    await other.until(() => other.received.length === 1, 'the decision')
    expect(typesOf(other)).toEqual(['approval.decided'])
  })

  test('that is gone hears no more, and the others are told so', async () => {
    const gone = await startReceiver({ reply: () => ({ status: 410 }) })
    const other = await startReceiver()
    const world = await startWorld({ config: configOf([gone, other]) })
    await world.agent.ask('stripe.refund', { amount: 1 }, ASYNC)
    await other.until(() => other.of('webhook.disabled').length === 1, 'word of it')
    const [told] = other.of('webhook.disabled')
    expect(verified(told!)).toMatchObject({ data: { id: 'hook-0', tenant: 'default', reason: 'gone' } })
    await world.agent.ask('stripe.refund', { amount: 2 }, ASYNC)
    await other.until(() => other.of('approval.requested').length === 2, 'the next request')
    await world.restart()
    await world.agent.ask('stripe.refund', { amount: 3 }, ASYNC)
    await other.until(() => other.of('approval.requested').length === 3, 'the one after the restart')
    expect(gone.received).toHaveLength(1)
  })
})
