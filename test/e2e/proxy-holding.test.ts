import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { bearer, type ProxyWorld, proxied, sendRaw } from '../support/proxy-world.ts'
import { startUpstream } from '../support/upstream-server.ts'

const json = { 'content-type': 'application/json' }
const later = { prefer: 'respond-async' }
const refund = (amount: number, headers = {}) => ({ body: `{"amount":${amount}}`, headers: { ...json, ...headers } })
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const records = async ({ admin }: ProxyWorld) =>
  (await admin.send<{ items: { id: string; status: string }[] }>('GET', '/v1/approvals?limit=200')).body.items

proxied(
  'a held call goes once, byte for byte, when a person approves; the record says what came of it',
  async (world) => {
    const { send, upstream, admin, asked } = world
    upstream.answer = (_request, response) => {
      response.writeHead(402, { 'x-why': 'card' })
      response.end('no')
    }
    const body = '{ "amount" : 5.50, "é": "☃" }'
    const { answer } = send('POST', 'api/refunds/1?a=%2F&b', { body, headers: { ...json, 'X-Case': 'Kept' } })
    const record = await asked()
    expect(record.action).toMatchObject({ kind: 'http', method: 'POST', target: `${upstream.url}/refunds/1?a=%2F&b` })
    expect(upstream.connections).toBe(0)
    await admin.decide(record.id, 'approve')
    expect(await answer).toMatchObject({
      status: 402,
      headers: { 'countersign-approval': record.id, 'x-why': 'card' },
      body: Buffer.from('no'),
    })
    expect(upstream.received).toHaveLength(1)
    expect(upstream.received[0]).toMatchObject({ method: 'POST', url: '/refunds/1?a=%2F&b', body: Buffer.from(body) })
    expect(upstream.received[0]?.rawHeaders).toContain('X-Case')
    expect(upstream.connections).toBe(1)
    const settled = await admin.recordThat(record.id, ({ status }) => status === 'settled')
    expect(settled.settlement).toMatchObject({ outcome: 'executed', status: 402 })
    expect(settled.history?.map(({ type }) => type)).toEqual(['requested', 'approved', 'claimed', 'settled'])
  },
)

proxied('a denial is final and names the approval; an expiry says expired; the upstream saw nothing', async (world) => {
  const { send, call, upstream, admin, asked } = world
  const { answer } = send('POST', 'api/refunds', refund(1))
  const { id } = await asked()
  await admin.decide(id, 'deny', { reason: 'not today' })
  const denied = await answer
  expect(denied).toMatchObject({
    status: 403,
    headers: { 'countersign-retry': 'false', 'countersign-approval': id, 'cache-control': 'no-store' },
    json: { code: 'approval_denied', approvalId: id, reason: 'not today', retryable: false },
  })
  expect((await call('POST', 'api/refunds', refund(1))).json).toMatchObject({ code: 'approval_denied', approvalId: id })
  const expired = await call('POST', 'api/quick', refund(2))
  expect(expired).toMatchObject({ status: 403, json: { code: 'approval_expired' } })
  expect(expired.json.detail).toContain('not denied')
  expect((await admin.record(expired.json.approvalId ?? '')).decidedBy).toEqual([])
  expect(await call('GET', 'api/never/x')).toMatchObject({ status: 403, json: { code: 'policy_denied' } })
  expect(upstream.connections).toBe(0)
})

proxied(
  'an agent that leaves while it is held cancels within a second; a later approval changes nothing',
  async (world) => {
    const { send, upstream, admin, asked } = world
    const { leave } = send('POST', 'api/refunds', refund(1))
    const { id } = await asked()
    const leftAt = performance.now()
    leave()
    const record = await admin.recordThat(id, ({ status }) => status !== 'pending')
    expect(performance.now() - leftAt).toBeLessThan(1_000)
    expect(record.status).toBe('cancelled')
    expect(await admin.decide(id, 'approve')).toMatchObject({ status: 409, body: { code: 'approval_cancelled' } })
    expect(upstream.connections).toBe(0)
  },
)

proxied('of two holders the first to leave cancels nothing; a call that comes back stays pending', async (world) => {
  const { send, admin, asked, upstream } = world
  const first = send('POST', 'api/refunds', refund(1))
  const { id } = await asked()
  const second = send('POST', 'api/refunds', refund(1))
  await admin.recordThat(id, ({ version }) => version === 2)
  first.leave()
  expect(await admin.recordThat(id, ({ version }) => version === 3)).toMatchObject({ status: 'pending' })
  second.leave()
  expect(await admin.recordThat(id, ({ status }) => status !== 'pending')).toMatchObject({ status: 'cancelled' })

  const keyed = send('POST', 'api/refunds', refund(2, { 'idempotency-key': 'k-1' }))
  const kept = send('POST', 'api/kept/x', refund(3))
  const pending = await admin.pending(2)
  keyed.leave()
  kept.leave()
  for (const { id, version } of pending)
    expect(await admin.recordThat(id, (record) => record.version > version)).toMatchObject({ status: 'pending' })
  expect(upstream.connections).toBe(0)
})

proxied('Prefer answers 202 with the approval, which the same call joins and uses', async (world) => {
  const { call, send, admin, upstream } = world
  const asked = await call('POST', 'api/refunds', refund(1, later))
  const id = asked.json.approvalId ?? ''
  expect(asked).toMatchObject({
    status: 202,
    headers: { location: `/v1/actions/${id}`, 'retry-after': '1', 'countersign-approval': id },
    json: { status: 'pending', summary: expect.stringContaining('amount=1') },
  })
  expect((await call('POST', 'api/refunds', refund(1, { prefer: 'wait=0' }))).json.approvalId).toBe(id)
  const joined = send('POST', 'api/refunds', refund(1))
  await admin.recordThat(id, ({ version }) => version === 2)
  await admin.decide(id, 'approve')
  expect(await joined.answer).toMatchObject({ status: 200, headers: { 'countersign-approval': id } })
  const anew = await call('POST', 'api/refunds', refund(1, later))
  expect(anew.status).toBe(202)
  expect(anew.json.approvalId).not.toBe(id)
  expect((await call('POST', 'api/refunds', refund(1, { prefer: 'wait=soon' }))).status).toBe(400)
  expect(upstream.received).toHaveLength(1)
})

proxied('twenty identical calls after one approval: one is forwarded', async (world) => {
  const { call, admin, upstream } = world
  const asked = await call('POST', 'api/refunds', refund(1, later))
  const id = asked.json.approvalId ?? ''
  await admin.decide(id, 'approve')
  const answers = await Promise.all(Array.from({ length: 20 }, () => call('POST', 'api/refunds', refund(1, later))))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(new Set(answers.filter(({ status }) => status === 202).map(({ json }) => json.approvalId)).size).toBe(1)
  expect(upstream.received).toHaveLength(1)
})

proxied('an approval serves no other call: another byte, header, path, query, session, agent', async (world) => {
  const { call, admin, upstream, url } = world
  const other = await world.caller('other', 'agent')
  const asked = await call('POST', 'api/refunds/1?a=1', refund(50, later))
  const id = asked.json.approvalId ?? ''
  await admin.decide(id, 'approve')
  const named = { 'countersign-approval': id }
  const others = [
    call('POST', 'api/refunds/1?a=1', refund(50_000, named)),
    call('POST', 'api/refunds/1?a=1', { ...refund(0, named), body: '{"amount":50 }' }),
    call('POST', 'api/refunds/1?a=2', refund(50, named)),
    call('POST', 'api/refunds/2?a=1', refund(50, named)),
    call('PUT', 'api/refunds/1?a=1', refund(50, named)),
    call('POST', 'api/refunds/1?a=1', refund(50, { ...named, 'x-amount': '1' })),
    call('POST', 'api/refunds/1?a=1', refund(50, { ...named, 'countersign-session': 's' })),
    sendRaw(url, 'POST', '/proxy/api/refunds/1?a=1', refund(50, { ...named, ...bearer(other) })).answer,
  ]
  for (const answer of await Promise.all(others))
    expect(answer).toMatchObject({ status: 404, json: { code: 'approval_not_found' } })
  expect(upstream.connections).toBe(0)
  const retry = refund(50, { ...named, 'x-stainless-retry-count': '1', 'user-agent': 'other/2' })
  expect((await call('POST', 'api/refunds/1?a=1', retry)).status).toBe(200)
})

proxied('an Idempotency-Key that was forwarded is told so, and forwarded no second time', async (world) => {
  const { send, call, admin, asked, upstream } = world
  let release = () => {}
  upstream.answer = (_request, response) => {
    release = () => void response.end('done')
  }
  const keyed = refund(1, { 'idempotency-key': 'k-1' })
  const { answer } = send('POST', 'api/refunds', keyed)
  const { id } = await asked()
  await admin.decide(id, 'approve')
  await upstream.calls(1)
  const used = { status: 409, json: { code: 'already_used', approvalId: id } }
  expect(await call('POST', 'api/refunds', keyed)).toMatchObject(used)
  release()
  expect((await answer).status).toBe(200)
  await admin.recordThat(id, ({ status }) => status === 'settled')
  expect(await call('POST', 'api/refunds', keyed)).toMatchObject(used)
  expect((await call('POST', 'api/refunds', refund(2, { 'idempotency-key': 'k-1' }))).json.code).toBe(
    'idempotency_key_reused',
  )
  expect(upstream.received).toHaveLength(1)
})

proxied(
  'an upstream that cannot be reached gives the use back, and its answer comes when it is there',
  async (world) => {
    const { send, call, admin, asked, upstream } = world
    const { port } = upstream
    await upstream.close()
    const { answer } = send('POST', 'api/refunds', refund(1))
    const { id } = await asked()
    await admin.decide(id, 'approve')
    const unreachable = await answer
    expect(unreachable).toMatchObject({
      status: 502,
      json: { code: 'upstream_unreachable', retryable: true, approvalId: id },
    })
    expect(unreachable.json.detail).not.toContain(String(port))
    expect(await admin.record(id)).toMatchObject({ status: 'approved' })
    const back = await startUpstream({ port })
    expect(await call('POST', 'api/refunds', refund(1))).toMatchObject({
      status: 200,
      headers: { 'countersign-approval': id },
    })
    expect(back.received).toHaveLength(1)
    const types = (await admin.recordThat(id, ({ status }) => status === 'settled')).history?.map(({ type }) => type)
    expect(types).toEqual(['requested', 'approved', 'claimed', 'returned', 'claimed', 'settled'])
  },
)

proxied('approved calls go on a new connection each; allowed ones share theirs', async (world) => {
  const { call, send, admin, asked, upstream } = world
  for (const path of ['a', 'b']) expect((await call('GET', `api/${path}`)).status).toBe(200)
  expect(upstream.connections).toBe(1)
  for (const amount of [1, 2]) {
    const { answer } = send('POST', 'api/refunds', refund(amount))
    await admin.decide((await asked()).id, 'approve')
    expect((await answer).status).toBe(200)
    expect(upstream.connections).toBe(1 + amount)
  }
})

proxied(
  'what was not sent spends no rate limit, whether or not it was approved',
  async ({ call, send, admin, asked, upstream }) => {
    const { port } = upstream
    await upstream.close()
    for (let tries = 0; tries < 3; tries++) expect((await call('GET', 'api/limited')).status).toBe(502)
    const { answer } = send('POST', 'api/limited', refund(1))
    await admin.decide((await asked()).id, 'approve')
    expect((await answer).status).toBe(502)
    await startUpstream({ port })
    expect((await call('POST', 'api/limited', refund(1))).status).toBe(200)
    expect(await call('GET', 'api/limited')).toMatchObject({ status: 429, json: { code: 'rate_limited' } })
  },
  {
    policy: `
version: 1
default: allow
rules:
  - { id: limited, match: { path: "/limited" }, action: rate_limit, rate_limit: { limit: 1, window: 1h, key: agent } }
  - { id: asked, match: { path: "/limited", method: POST }, action: require_approval }
`,
  },
)

proxied(
  'an upstream that breaks off before it answers has failed: no second try, and not given back',
  async (world) => {
    const { send, call, admin, asked, upstream } = world
    upstream.answer = (request) => void request.socket.destroy()
    const { answer } = send('POST', 'api/refunds', refund(1))
    const { id } = await asked()
    await admin.decide(id, 'approve')
    const failed = await answer
    expect(failed).toMatchObject({ status: 502, json: { code: 'upstream_failed', retryable: false, approvalId: id } })
    expect(failed.json.detail).toContain('may have been executed')
    const record = await admin.recordThat(id, ({ status }) => status === 'settled')
    expect(record.settlement).toMatchObject({ outcome: 'failed', detail: 'it closed the connection' })
    expect(await call('GET', 'api/plain')).toMatchObject({ status: 502, json: { code: 'upstream_failed' } })
    expect(upstream.received).toHaveLength(2)
  },
)

proxied(
  'an agent that leaves while its approved call is under way: the upstream is told, the record says failed',
  async (world) => {
    const { send, admin, asked, upstream } = world
    const closed = new Promise<void>((resolve) => {
      upstream.answer = (request) => void request.socket.once('close', () => resolve())
    })
    const { leave } = send('POST', 'api/refunds', refund(1))
    const { id } = await asked()
    await admin.decide(id, 'approve')
    await upstream.calls(1)
    leave()
    await closed
    const record = await admin.recordThat(id, ({ status }) => status === 'settled')
    expect(record.settlement).toMatchObject({ outcome: 'failed', detail: 'the agent left' })
  },
)

proxied('an approver’s changes reach the upstream; a body that cannot take them gives the use back', async (world) => {
  const { send, admin, asked, upstream } = world
  const ofTheBytes = { 'content-md5': 'x', digest: 'x', 'content-digest': 'x', 'repr-digest': 'x' }
  const { answer } = send('POST', 'api/refunds', {
    body: '{"amount":5000,"charge":"ch_1","meta":{"a":1}}',
    headers: { ...json, ...ofTheBytes, 'X-Stays': '1' },
  })
  const { id } = await asked()
  await admin.decide(id, 'approve', { edits: { amount: 50, meta: { a: null } } })
  expect((await answer).status).toBe(200)
  const [received] = upstream.received
  expect(JSON.parse(received?.body.toString() ?? '')).toEqual({ amount: 50, charge: 'ch_1', meta: {} })
  expect(received?.headers).toMatchObject({ 'content-length': String(received?.bytes), 'x-stays': '1' })
  for (const name of Object.keys(ofTheBytes)) expect(received?.headers).not.toHaveProperty(name)

  const form = send('POST', 'api/refunds', {
    body: 'amount=5',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  const formRecord = await asked()
  await admin.decide(formRecord.id, 'approve', { edits: { amount: 1 } })
  expect(await form.answer).toMatchObject({
    status: 422,
    json: { code: 'edits_not_allowed', approvalId: formRecord.id },
  })
  expect(await admin.record(formRecord.id)).toMatchObject({ status: 'approved' })
  expect(upstream.received).toHaveLength(1)
})

proxied('50 MB reach nobody while they are held, and arrive whole: with a length, and chunked', async (world) => {
  const { send, admin, asked, upstream } = world
  const body = randomBytes(50 * 1024 * 1024)
  for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
    const { answer } = send('PUT', 'api/refunds/large', { headers, body: (out) => void out.end(body) })
    const record = await asked()
    expect(record.action).toMatchObject({ fingerprint: null, previewTruncated: true })
    expect(await admin.decide(record.id, 'approve', { edits: { a: 1 } })).toMatchObject({ status: 422 })
    expect(upstream.begun).toBe(upstream.received.length)
    await admin.decide(record.id, 'approve')
    expect((await answer).status).toBe(200)
    expect(upstream.received.at(-1)).toMatchObject({ bytes: body.length, sha256: sha256(body), complete: true })
  }
})

proxied(
  'a long body: its approval serves one connection, and a refusal reaches an agent that still sends',
  async (world) => {
    const { send, call, admin, asked, upstream } = world
    const body = randomBytes(5 * 1024 * 1024)
    expect(await call('POST', 'api/refunds', { body, headers: later })).toMatchObject({
      status: 400,
      json: { code: 'invalid_request', detail: expect.stringContaining('longer') },
    })
    const first = send('POST', 'api/refunds', { body, headers: { 'idempotency-key': 'k' } })
    const one = await asked()
    const second = send('POST', 'api/refunds', { body, headers: { 'idempotency-key': 'k' } })
    const [other] = (await admin.pending(2)).filter(({ id }) => id !== one.id)
    await admin.decide(one.id, 'approve')
    expect((await first.answer).status).toBe(200)
    await admin.decide(other!.id, 'deny')
    expect((await second.answer).json).toMatchObject({ code: 'approval_denied', approvalId: other!.id })
    expect(upstream.received).toHaveLength(1)
  },
)

proxied('several calls of one agent are held at once, each with its own record and answer', async (world) => {
  const { send, admin, upstream } = world
  upstream.answer = (_request, response, { body }) => void response.end(body)
  const calls = Array.from({ length: 10 }, (_, amount) => send('POST', 'api/refunds', refund(amount)))
  for (const { id, action } of await admin.pending(10)) {
    const { body } = JSON.parse(action.preview)
    await admin.decide(id, body.amount % 2 === 0 ? 'approve' : 'deny')
  }
  const answers = await Promise.all(calls.map(({ answer }) => answer))
  expect(answers.map(({ status }) => status)).toEqual([200, 403, 200, 403, 200, 403, 200, 403, 200, 403])
  expect(answers[4]?.body.toString()).toBe('{"amount":4}')
  expect(upstream.received).toHaveLength(5)
})

proxied('a graceful stop answers held calls 503; their approval stays, and the retry joins it', async (world) => {
  const { send, call, admin, asked, upstream } = world
  const { answer } = send('POST', 'api/refunds', refund(1))
  const { id } = await asked()
  await world.restart()
  expect(await answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, json: { code: 'shutting_down' } })
  expect(upstream.connections).toBe(0)
  const retry = send('POST', 'api/refunds', refund(1))
  await admin.recordThat(id, ({ version }) => version === 3)
  expect(await records(world)).toHaveLength(1)
  await admin.decide(id, 'approve')
  expect((await retry.answer).headers['countersign-approval']).toBe(id)
  expect((await call('GET', 'api/x')).status).toBe(200)
})
