import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Caller, POLICY, scenario } from '../support/server.ts'

const async_ = { headers: { prefer: 'respond-async' } }

async function approved(agent: Caller, admin: Caller, tool: string, args: unknown, context?: Record<string, unknown>) {
  const { body } = await agent.ask(tool, args, { ...async_, ...(context ? { context } : {}) })
  await admin.decide(body.approvalId ?? '', 'approve')
  return body.approvalId ?? ''
}

scenario(
  'the same call joins while pending, is let through once after approval, and asks anew after that',
  async (world) => {
    const { agent, admin } = world
    const stream = await admin.stream()
    const first = await agent.ask('kept.x', { n: 1 }, async_)
    const second = await agent.ask('kept.x', { n: 1 }, async_)
    expect(second.body.approvalId).toBe(first.body.approvalId)
    await admin.decide(first.body.approvalId ?? '', 'approve')
    expect(await agent.ask('kept.x', { n: 1 })).toMatchObject({
      status: 200,
      body: { approvalId: first.body.approvalId },
    })
    const third = await agent.ask('kept.x', { n: 1 }, async_)
    expect(third.status).toBe(202)
    expect(third.body.approvalId).not.toBe(first.body.approvalId)
    await stream.frame(({ event, approval }) => event === 'requested' && approval?.id === third.body.approvalId)
    expect(stream.events('requested')).toHaveLength(2)
  },
)

scenario(
  'twenty identical calls after one approval: one goes ahead, the others share one new request',
  async (world) => {
    const { agent, admin } = world
    const id = await approved(agent, admin, 'kept.x', { n: 1 })
    const answers = await Promise.all(Array.from({ length: 20 }, () => agent.ask('kept.x', { n: 1 }, async_)))
    expect(answers.filter(({ status, body }) => status === 200 && body.approvalId === id)).toHaveLength(1)
    const others = answers.filter(({ status }) => status === 202)
    expect(others).toHaveLength(19)
    expect(new Set(others.map(({ body }) => body.approvalId)).size).toBe(1)
  },
)

scenario('identical calls that are held together: one goes ahead, the others are told it was used', async (world) => {
  const { agent, admin } = world
  const held = Array.from({ length: 5 }, () => agent.ask('kept.x', { n: 1 }))
  const [record] = await admin.pending()
  await admin.recordThat(record!.id, ({ version }) => version === 5)
  await admin.decide(record!.id, 'approve')
  const answers = await Promise.all(held)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(answers.filter(({ body }) => body.code === 'already_used')).toHaveLength(4)
})

scenario('an approval serves no other call: not other arguments, agent, session or tenant', async (world) => {
  const { agent, admin } = world
  const other = await world.caller('other', 'agent')
  const foreign = await world.caller('agent', 'agent', { tenant: 'other' })
  const id = await approved(agent, admin, 'kept.pay', { amount: 50 }, { session: 's1' })
  const named = { headers: { ...async_.headers, 'countersign-approval': id } }
  const session = { context: { session: 's1' } }

  expect((await agent.ask('kept.pay', { amount: 50000 }, { ...async_, ...session })).status).toBe(202)
  expect(await agent.ask('kept.pay', { amount: 50000 }, { ...named, ...session })).toMatchObject({
    status: 404,
    body: { code: 'approval_not_found' },
  })
  expect((await agent.ask('kept.pay', { amount: 50 }, { ...async_, context: { session: 's2' } })).status).toBe(202)
  expect((await other.ask('kept.pay', { amount: 50 }, { ...async_, ...session })).status).toBe(202)
  expect((await other.ask('kept.pay', { amount: 50 }, { ...named, ...session })).status).toBe(404)
  expect((await foreign.ask('kept.pay', { amount: 50 }, { ...async_, ...session })).status).toBe(202)
  expect((await foreign.ask('kept.pay', { amount: 50 }, { ...named, ...session })).status).toBe(404)

  expect(await admin.record(id)).toMatchObject({ status: 'approved' })
  expect((await agent.ask('kept.pay', { amount: 50 }, { ...named, ...session })).body).toMatchObject({
    effect: 'allow',
    approvalId: id,
  })
})

scenario('an approval under rules that have changed since cannot be used', async (world) => {
  const { agent, admin } = world
  const id = await approved(agent, admin, 'kept.x', { n: 1 })
  const changed = POLICY.replace('onDisconnect: keep', 'onDisconnect: keep, timeout: 3m')
  writeFileSync(join(world.dataDir, '..', 'policy.yaml'), changed)
  await world.restart()
  const asked = await agent.ask('kept.x', { n: 1 }, async_)
  expect(asked.status).toBe(202)
  expect(asked.body.approvalId).not.toBe(id)
  expect(await admin.record(id)).toMatchObject({ status: 'approved' })
})

scenario('a use that did nothing is given back, and works again', async ({ agent, admin }) => {
  const id = await approved(agent, admin, 'kept.x', { n: 1 })
  expect((await agent.ask('kept.x', { n: 1 })).status).toBe(200)
  const returned = await agent.send('POST', `/v1/actions/${id}/outcome`, {
    body: { status: 'not_executed', detail: 'connection refused' },
  })
  expect(returned).toMatchObject({ status: 200, body: { status: 'approved' } })
  expect((await agent.ask('kept.x', { n: 1 })).body).toMatchObject({ effect: 'allow', approvalId: id })
  const executed = await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
  expect(executed.body).toMatchObject({ status: 'settled', settlement: { outcome: 'executed' } })
  const again = await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
  expect(again.status).toBe(200)
  const other = await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'not_executed' } })
  expect(other).toMatchObject({ status: 409, body: { code: 'already_used' } })
  const types = (await admin.record(id)).history?.map(({ type }) => type)
  expect(types).toEqual(['requested', 'approved', 'claimed', 'returned', 'claimed', 'settled'])
})

scenario('a report that comes twice, or late, never touches a later use', async ({ agent, admin }) => {
  const id = await approved(agent, admin, 'kept.x', { n: 1 })
  const report = (status: string, use?: unknown) =>
    agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status, ...(use === undefined ? {} : { use }) } })
  const first = (await agent.ask('kept.x', { n: 1 })).body
  expect(first).toMatchObject({ use: 1 })
  expect((await report('not_executed', 1)).status).toBe(200)
  expect((await agent.ask('kept.x', { n: 1 })).body).toMatchObject({ use: 2 })
  expect((await report('not_executed', 1)).body).toMatchObject({ status: 'claimed' })
  expect(await report('executed', 1)).toMatchObject({ status: 409, body: { code: 'already_used' } })
  expect(await report('executed', 3)).toMatchObject({ status: 400 })
  expect((await report('executed', 2)).body).toMatchObject({ status: 'settled' })
})

scenario('an outcome is taken from the agent that asked, and only for an approval in use', async (world) => {
  const { agent, admin } = world
  const other = await world.caller('other', 'agent')
  const id = await approved(agent, admin, 'kept.x', {})
  const report = (caller: Caller, status: string) =>
    caller.send('POST', `/v1/actions/${id}/outcome`, { body: { status } })
  expect(await report(agent, 'executed')).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
  expect(await report(other, 'executed')).toMatchObject({ status: 404 })
  expect(await report(agent, 'done')).toMatchObject({ status: 422 })
  expect((await other.send('GET', `/v1/actions/${id}`)).status).toBe(404)
  expect((await other.send('DELETE', `/v1/actions/${id}`)).status).toBe(404)
})

scenario(
  'a denied call is refused from the standing denial; nobody is asked again until that is forgotten',
  async (world) => {
    const { agent, admin } = world
    const asked = await agent.ask('kept.x', { n: 1 }, async_)
    const id = asked.body.approvalId ?? ''
    await admin.decide(id, 'deny', { reason: 'no' })
    expect(await agent.ask('kept.x', { n: 1 })).toMatchObject({
      status: 403,
      body: { code: 'approval_denied', approvalId: id, reason: 'no' },
    })
    expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toHaveLength(1)

    const forgetful = POLICY.replace('denialMemory: 1m', 'denialMemory: 1ms')
    writeFileSync(join(world.dataDir, '..', 'policy.yaml'), forgetful)
    await world.restart()
    expect((await agent.ask('kept.x', { n: 1 }, async_)).status).toBe(202)
  },
)

scenario('an Idempotency-Key joins, is told the same answer again, and refuses another body', async (world) => {
  const { agent, admin } = world
  const keyed = { headers: { 'idempotency-key': 'order-1' } }
  const first = agent.ask('kept.x', { n: 1 }, keyed)
  const [record] = await admin.pending()
  const id = record!.id
  const other = await agent.ask('kept.x', { n: 2 }, keyed)
  expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
  await admin.decide(id, 'approve')
  expect((await first).body).toMatchObject({ effect: 'allow', approvalId: id })
  expect((await first).body).not.toHaveProperty('replayed')
  expect((await agent.ask('kept.x', { n: 1 }, keyed)).body).toMatchObject({ approvalId: id, replayed: true })
  await world.restart()
  expect((await agent.ask('kept.x', { n: 1 }, keyed)).body).toMatchObject({ approvalId: id, replayed: true })
  expect((await admin.record(id)).history?.filter(({ type }) => type === 'claimed')).toHaveLength(1)

  await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
  expect(await agent.ask('kept.x', { n: 1 }, keyed)).toMatchObject({ status: 409, body: { code: 'already_used' } })
  expect((await agent.ask('kept.x', { n: 1 }, { headers: { 'idempotency-key': 'x'.repeat(300) } })).status).toBe(400)
})

scenario('an Idempotency-Key that used an older approval of the same call is told so again', async (world) => {
  const { agent, admin } = world
  const id = await approved(agent, admin, 'kept.x', { n: 1 })
  const keyed = { headers: { 'idempotency-key': 'order-2' } }
  expect((await agent.ask('kept.x', { n: 1 }, keyed)).body).toMatchObject({ approvalId: id })
  expect((await agent.ask('kept.x', { n: 1 }, keyed)).body).toMatchObject({ approvalId: id, replayed: true })
})
