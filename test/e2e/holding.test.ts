import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { type Caller, scenario } from '../support/server.ts'

async function firstPending(admin: Caller) {
  const [record] = await admin.pending()
  return record!
}

const sameKey = { 'idempotency-key': 'key-1' }

scenario('arguments come back as they were sent, byte for byte, also large ones', async ({ agent, admin }) => {
  const args = {
    text: 'ünïcödé \u2028 \u{1f600} "quotes" \\ \u0000',
    numbers: [0, -0.5, 1e21, 9007199254740991],
    nested: { 'a.b': { $set: [null, true, false, [], {}] } },
    large: randomBytes(30_000).toString('hex'),
  }
  const answer = agent.ask('kept.large', args)
  await admin.decide((await firstPending(admin)).id, 'approve')
  expect((await answer).body.args).toEqual(args)
})

scenario('bodies that mean two things, or are too large, are refused before anybody is asked', async (world) => {
  const { agent, admin } = world
  const bodies = [
    '{"tool":"kept.x","args":{"amount":1,"amount":2}}',
    '{"tool":"kept.x","args":{"amount":9007199254740993}}',
    '{"tool":"kept.x","args":{"__proto__":{"a":1}}}',
    '{"tool":"kept.x","args":[1]}',
    '{"tool":"","args":{}}',
    '{"tool":"kept.x","arguments":{}}',
    `{"tool":"kept.x","args":{"a":${'['.repeat(200)}${']'.repeat(200)}}}`,
    'tool',
  ]
  for (const text of bodies) {
    const { status, body } = await agent.send('POST', '/v1/actions', { text })
    expect([text.slice(0, 60), status, body.code]).toEqual([text.slice(0, 60), 422, 'invalid_body'])
  }
  const latin1 = await fetch(`${world.url}/v1/actions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${agent.secret}`, 'content-type': 'application/json' },
    body: Buffer.from('{"tool":"kept.x","args":{"name":"\xe9"}}', 'latin1'),
  })
  expect(latin1.status).toBe(422)
  const huge = await agent.ask('kept.x', { text: 'x'.repeat(1024 * 1024) })
  expect(huge).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toEqual([])
})

scenario('a denial is final and names the approval; an expiry says expired and nobody decided', async (world) => {
  const { agent, admin } = world
  const denied = agent.ask('kept.x')
  const { id } = await firstPending(admin)
  await admin.decide(id, 'deny', { reason: 'not today' })
  const answer = await denied
  expect(answer).toMatchObject({
    status: 403,
    body: { code: 'approval_denied', approvalId: id, reason: 'not today', retryable: false },
  })
  expect(answer.headers.get('countersign-retry')).toBe('false')
  const expired = await agent.ask('quick.x')
  expect(expired).toMatchObject({ status: 403, body: { code: 'approval_expired' } })
  expect(expired.body.detail).toContain('not denied')
  expect((await admin.record(expired.body.approvalId ?? '')).decidedBy).toEqual([])
})

scenario('Prefer: respond-async answers 202; the agent looks, waits, and uses the approval', async (world) => {
  const { agent, admin } = world
  const asked = await agent.ask('kept.x', { a: 1 }, { headers: { prefer: 'respond-async' } })
  const id = asked.body.approvalId ?? ''
  expect(asked.status).toBe(202)
  expect(asked.headers.get('location')).toBe(`/v1/actions/${id}`)
  expect(asked.headers.get('retry-after')).toBeTruthy()
  expect(asked.body).toMatchObject({ status: 'pending', summary: expect.stringContaining('kept.x') })
  expect((await agent.send('GET', `/v1/actions/${id}`)).body).toMatchObject({ status: 'pending' })

  const looking = agent.send('GET', `/v1/actions/${id}`, { headers: { prefer: 'wait=20' } })
  await admin.decide(id, 'approve')
  expect((await looking).body).toMatchObject({ id, status: 'approved' })
  expect((await agent.ask('kept.x', { a: 1 })).body).toMatchObject({ effect: 'allow', approvalId: id })
})

scenario('Prefer: wait=1 answers 202 when nobody decides in time; the approval stays', async ({ agent, admin }) => {
  const first = await agent.ask('stripe.refund', { amount: 1 }, { headers: { prefer: 'wait=1' } })
  expect(first.status).toBe(202)
  const again = agent.ask('stripe.refund', { amount: 1 })
  const { id } = await firstPending(admin)
  expect(id).toBe(first.body.approvalId)
  await admin.decide(id, 'approve')
  expect((await again).status).toBe(200)
})

scenario('Prefer that cannot be read is refused', async ({ agent }) => {
  for (const prefer of ['wait=soon', 'wait', 'wait=-1'])
    expect((await agent.ask('kept.x', {}, { headers: { prefer } })).status).toBe(400)
})

scenario('an agent that leaves cancels its request at once, and a later approval changes nothing', async (world) => {
  const { agent, admin } = world
  const stream = await admin.stream()
  const leaving = new AbortController()
  const answer = agent.ask('stripe.refund', { amount: 1 }, { signal: leaving.signal }).catch(() => 'left')
  const { id } = await firstPending(admin)
  const leftAt = Date.now()
  leaving.abort()
  expect(await answer).toBe('left')
  const event = await stream.frame(({ event }) => event === 'decided')
  expect(Date.now() - leftAt).toBeLessThan(1_000)
  expect(event.approval).toMatchObject({ id, status: 'cancelled' })
  expect(await admin.decide(id, 'approve')).toMatchObject({ status: 409, body: { code: 'approval_cancelled' } })
  const entry = (await admin.record(id)).history?.at(-1)
  expect(entry).toMatchObject({ type: 'cancelled', by: { type: 'system' } })
})

scenario('an agent that leaves before its request is on record cancels it too', async ({ agent, admin }) => {
  const leaving = new AbortController()
  const answers = Array.from({ length: 20 }, (_, index) =>
    agent.ask('stripe.refund', { amount: index }, { signal: leaving.signal }).catch(() => 'left'),
  )
  // As soon as the first is on record, the others are between anything and anything.
  await admin.pending()
  leaving.abort()
  await Promise.all(answers)
  const { body } = await admin.send<{ items: { id: string }[] }>('GET', '/v1/approvals?limit=200')
  for (const { id } of body.items)
    expect((await admin.recordThat(id, ({ status }) => status !== 'pending')).status).toBe('cancelled')
})

scenario('with two holders the first to leave cancels nothing, the last one does', async ({ agent, admin }) => {
  const first = new AbortController()
  const second = new AbortController()
  const answers = [first, second].map(({ signal }) =>
    agent.ask('stripe.refund', { amount: 1 }, { signal }).catch(() => 'left'),
  )
  const { id } = await firstPending(admin)
  await admin.recordThat(id, ({ version }) => version === 2)
  first.abort()
  const left = await admin.recordThat(id, ({ version }) => version === 3)
  expect(left.status).toBe('pending')
  second.abort()
  expect((await admin.recordThat(id, ({ status }) => status !== 'pending')).status).toBe('cancelled')
  await Promise.all(answers)
})

scenario('a call that will come back stays pending when its connection drops', async ({ agent, admin }) => {
  const leaving = new AbortController()
  const keyed = agent
    .ask('stripe.refund', { amount: 1 }, { headers: sameKey, signal: leaving.signal })
    .catch(() => 'left')
  const kept = agent.ask('kept.x', {}, { signal: leaving.signal }).catch(() => 'left')
  const records = await admin.pending(2)
  leaving.abort()
  await Promise.all([keyed, kept])
  for (const { id, version } of records) {
    const left = await admin.recordThat(id, (record) => record.version > version)
    expect(left.status).toBe('pending')
  }
})

scenario('a graceful stop answers held calls 503, keeps the approval, and the retry joins it', async (world) => {
  const { agent, admin } = world
  const answer = agent.ask('stripe.refund', { amount: 7 })
  const { id } = await firstPending(admin)
  await world.restart()
  const sent = await answer
  expect(sent).toMatchObject({ status: 503, body: { code: 'shutting_down', retryable: true, approvalId: id } })
  expect(sent.headers.get('retry-after')).toBe('1')
  expect(await admin.record(id)).toMatchObject({ status: 'pending' })

  const leaving = new AbortController()
  const retry = agent.ask('stripe.refund', { amount: 7 }, { signal: leaving.signal })
  await admin.recordThat(id, ({ version }) => version === 3)
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toHaveLength(1)
  await admin.decide(id, 'approve')
  expect((await retry).body).toMatchObject({ effect: 'allow', approvalId: id })
})

scenario('an approval given while the gate was away is used by the retry', async (world) => {
  const { agent, admin } = world
  const asked = await agent.ask('kept.x', { n: 1 }, { headers: { prefer: 'respond-async' } })
  await admin.decide(asked.body.approvalId ?? '', 'approve')
  await world.restart()
  expect((await agent.ask('kept.x', { n: 1 })).body).toMatchObject({
    effect: 'allow',
    approvalId: asked.body.approvalId,
  })
})

scenario('several calls of one agent are held at once, each with its own record and answer', async (world) => {
  const { agent, admin } = world
  const answers = Array.from({ length: 20 }, (_, amount) => agent.ask('stripe.refund', { amount }))
  const records = await admin.pending(20)
  expect(new Set(records.map(({ id }) => id)).size).toBe(20)
  await Promise.all(
    records.map(({ id, action }) => {
      const { amount } = JSON.parse(action.preview)
      return admin.decide(id, amount % 2 === 0 ? 'approve' : 'deny')
    }),
  )
  const statuses = (await Promise.all(answers)).map(({ status }) => status)
  expect(statuses).toEqual(Array.from({ length: 20 }, (_, amount) => (amount % 2 === 0 ? 200 : 403)))
})

scenario(
  'an agent that holds too much gets 429 with Retry-After; others are not affected',
  async (world) => {
    const { agent, admin } = world
    const other = await world.caller('other', 'agent')
    for (const n of [1, 2, 3])
      expect((await agent.ask('kept.x', { n }, { headers: { prefer: 'respond-async' } })).status).toBe(202)
    const refused = await agent.ask('kept.x', { n: 4 }, { headers: { prefer: 'respond-async' } })
    expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_holds', retryable: true } })
    expect(refused.headers.get('retry-after')).toBe('5')
    expect((await other.ask('kept.x', { n: 1 }, { headers: { prefer: 'respond-async' } })).status).toBe(202)
    const [first] = (await admin.pending(4)).filter(({ agent: { name } }) => name === 'agent')
    await admin.decide(first!.id, 'deny')
    expect((await agent.ask('kept.x', { n: 5 }, { headers: { prefer: 'respond-async' } })).status).toBe(202)
  },
  { config: 'gate: { maxHoldsPerAgent: 3 }' },
)

scenario(
  'a gate that is full says so',
  async (world) => {
    const { agent, admin } = world
    const held = [1, 2].map((n) => agent.ask('kept.x', { n }))
    const records = await admin.pending(2)
    expect(await agent.ask('kept.x', { n: 3 })).toMatchObject({ status: 429, body: { code: 'too_many_holds' } })
    for (const { id } of records) await admin.decide(id, 'approve')
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200])
    expect((await agent.ask('kept.x', { n: 4 }, { headers: { prefer: 'wait=0' } })).status).toBe(202)
  },
  { config: 'gate: { maxHolds: 2 }' },
)
