import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { MAIN_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import { auditApproval } from '../../lib/core/audit.ts'
import { createLogger, type Logger } from '../../lib/runtime/logger.ts'
import { type Caller, type Problem, startWorld, type World } from '../support/server.ts'
import { recordsIn } from '../support/stored-records.ts'
import { startReceiver, verified, WEBHOOK_SECRET, type WebhookReceiver } from '../support/webhook-receiver.ts'

const ASYNC = { headers: { prefer: 'respond-async' } }
const NETWORK = { allowPrivate: ['127.0.0.1'] }

async function startLinked({ callbackAs = 'alice', ...options }: { callbackAs?: string; log?: Logger } = {}) {
  const receiver = await startReceiver()
  const hook = { url: receiver.url, secret: WEBHOOK_SECRET }
  const world = await startWorld({
    ...options,
    config: JSON.stringify({
      network: NETWORK,
      approvers: [{ name: 'alice', groups: ['finance'] }, { name: 'bob' }],
      webhooks: [{ ...hook, id: 'pager', callbackAs }],
    }),
  })
  return { receiver, world }
}

/** Asks, and resolves with the links that the receiver got. */
async function linksOf(world: World, receiver: WebhookReceiver, tool = 'stripe.refund') {
  const { body } = await world.agent.ask(tool, { amount: receiver.received.length }, ASYNC)
  const fits = ({ body: got }: WebhookReceiver['received'][number]) => got.data.id === body.approvalId
  await receiver.until(() => receiver.received.some(fits), 'the request')
  const { callbacks } = receiver.received.find(fits)!.body as unknown as {
    callbacks: { approve: string; deny: string }
  }
  return { id: body.approvalId!, ...callbacks }
}

const post = async (url: string, body?: object, headers: Record<string, string> = {}) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: response.status, body: (await response.json()) as Problem & Record<string, unknown> }
}

describe('a link in a webhook', () => {
  test('decides in the name of its approver, once', async () => {
    const { receiver, world } = await startLinked()
    const { id, approve, deny } = await linksOf(world, receiver)
    expect(approve.startsWith(`${world.url}/v1/callbacks/`)).toBe(true)
    const { status, body } = await post(approve, { reason: 'on call' })
    expect(status).toBe(200)
    expect(body).toMatchObject({ id, status: 'approved', reason: 'on call' })
    expect(body.decidedBy).toMatchObject([{ name: 'alice', type: 'user', via: 'link' }])
    const { version } = await world.admin.record(id)
    expect(await post(approve)).toMatchObject({ status: 200, body: { status: 'approved', reason: 'on call' } })
    expect(await post(deny)).toMatchObject({
      status: 409,
      body: { code: 'already_decided', approval: { status: 'approved' } },
    })
    expect((await world.admin.record(id)).version).toBe(version)
  })

  test('denies, without a body', async () => {
    const { receiver, world } = await startLinked()
    const { deny } = await linksOf(world, receiver)
    expect(await post(deny)).toMatchObject({ status: 200, body: { status: 'denied' } })
  })

  test('that is opened shows what it is about and decides nothing; its button does', async () => {
    const { receiver, world } = await startLinked()
    const { id, deny } = await linksOf(world, receiver)
    for (const method of ['HEAD', 'GET']) {
      const response = await fetch(deny, { method, headers: { accept: 'text/html' } })
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(response.headers.get('referrer-policy')).toBe('no-referrer')
      const page = await response.text()
      if (method === 'GET') expect(page).toContain('<form method="post">')
      expect(page).not.toMatch(/<script|<style|href=/)
    }
    expect((await world.admin.record(id)).status).toBe('pending')
    const clicked = await fetch(deny, {
      method: 'POST',
      headers: { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ reason: 'no <b>way</b>' }),
    })
    expect(clicked.status).toBe(200)
    const page = await clicked.text()
    expect(page).toContain('Denied by alice')
    expect(page).toContain('no &lt;b&gt;way&lt;/b&gt;')
    expect(await world.admin.record(id)).toMatchObject({ status: 'denied', reason: 'no <b>way</b>' })
    expect(await (await fetch(deny)).text()).not.toContain('<form')
  })

  test('shows what agents wrote as text', async () => {
    const { receiver, world } = await startLinked()
    await world.agent.ask('stripe.refund', { amount: 1, note: '<img src=x onerror=alert(1)>\u202e' }, ASYNC)
    await receiver.until(() => receiver.received.length === 1, 'the request')
    const { approve } = receiver.received[0]!.body.callbacks as { approve: string }
    const page = await (await fetch(approve)).text()
    expect(page).toContain('&lt;img src=x')
    expect(page).not.toMatch(/<img|\u202e/)
  })

  test('gives no more rights than its approver has', async () => {
    const { receiver, world } = await startLinked()
    const withReason = await linksOf(world, receiver, 'with.reason')
    expect(await post(withReason.deny)).toMatchObject({ status: 422, body: { code: 'reason_required' } })
    expect(await post(withReason.deny, { reason: 'because' })).toMatchObject({ status: 200 })
    const two = await linksOf(world, receiver, 'two.people')
    expect(await post(two.approve)).toMatchObject({ status: 200, body: { status: 'pending' } })
    expect(await post(two.approve)).toMatchObject({
      status: 200,
      body: { status: 'pending', votes: [{ by: { name: 'alice' } }] },
    })
    expect(await post(two.deny)).toMatchObject({ status: 409, body: { code: 'already_voted' } })
    expect(await post((await linksOf(world, receiver, 'finance.pay')).approve)).toMatchObject({ status: 200 })
    for (const callbackAs of ['bob', 'nobody']) {
      const { receiver, world } = await startLinked({ callbackAs })
      const { id, approve } = await linksOf(world, receiver, 'finance.pay')
      expect(await post(approve)).toMatchObject({ status: 403, body: { code: 'not_an_approver' } })
      expect((await world.admin.record(id)).status).toBe('pending')
    }
  })

  test('cannot be bent, and says the same whatever is wrong with it', async () => {
    const { receiver, world } = await startLinked()
    const first = await linksOf(world, receiver)
    const second = await linksOf(world, receiver)
    const tokenOf = (url: string) => url.split('/').at(-1)!
    const [word, , ...rest] = tokenOf(first.approve).split('.')
    const bad = [
      [word, tokenOf(second.approve).split('.')[1], ...rest].join('.'),
      tokenOf(first.approve).replace(/^a/, 'd'),
      tokenOf(first.approve).replace(/pager$/, 'other'),
      tokenOf(first.approve).slice(0, -1),
      'nonsense',
      'x'.repeat(190),
    ]
    const answers = await Promise.all(bad.map((token) => post(`${world.url}/v1/callbacks/${token}`)))
    for (const { status, body } of answers)
      expect([status, body.code, body.detail]).toEqual([404, 'approval_not_found', answers[0]?.body.detail])
    expect((await world.admin.record(first.id)).status).toBe('pending')
    expect((await post(first.approve, { reason: 7 as never })).status).toBe(422)
    expect((await post(first.approve, { decision: 'deny' })).status).toBe(422)
  })

  test('is over when its approval is', async () => {
    const { receiver, world } = await startLinked()
    const { id, approve } = await linksOf(world, receiver, 'quick.thing')
    await world.admin.recordThat(id, ({ status }) => status === 'expired')
    expect(await post(approve)).toMatchObject({ status: 409, body: { code: 'approval_expired' } })
  })

  test('survives a restart, and is in no log', async () => {
    const lines: string[] = []
    const log = createLogger('debug', { write: (line) => void lines.push(line) })
    const { receiver, world } = await startLinked({ log })
    const { id, approve } = await linksOf(world, receiver)
    await world.restart()
    await (await fetch(approve)).text()
    expect(await post(approve)).toMatchObject({ status: 200, body: { id, status: 'approved' } })
    await post(`${approve}x`)
    const token = approve.split('/').at(-1)!
    expect(lines.some((line) => line.includes('/v1/callbacks/…'))).toBe(true)
    expect(lines.filter((line) => line.includes(token))).toEqual([])
    expect(lines.filter((line) => line.includes(token.split('.')[3]!))).toEqual([])
  })
})

describe('a link of an endpoint that the API made', () => {
  const create = (admin: Caller, body: object) =>
    admin.send<Problem & { id: string; callbackAs: string | null }>('POST', '/v1/webhooks', { body })
  const change = (admin: Caller, id: string, body: object) =>
    admin.send<Problem>('PATCH', `/v1/webhooks/${id}`, { body })

  async function startMade() {
    const receiver = await startReceiver()
    const world = await startWorld({ config: JSON.stringify({ network: NETWORK, approvers: [{ name: 'alice' }] }) })
    const { body } = await create(world.admin, { url: receiver.url, callbackAs: 'owner' })
    return { receiver, world, webhook: body.id }
  }

  test('votes for the admin who asked for it, and beside their own vote it counts for nothing', async () => {
    const { receiver, world } = await startMade()
    const { id, approve } = await linksOf(world, receiver, 'two.people')
    expect(await world.admin.decide(id, 'approve')).toMatchObject({ status: 200, body: { status: 'pending' } })
    expect(await post(approve)).toMatchObject({ status: 200, body: { status: 'pending' } })
    expect((await world.admin.record(id)).votes).toMatchObject([{ by: { name: 'owner', via: 'http' } }])
  })

  test('votes in nobody else’s name: only the configuration may say so', async () => {
    const { receiver, world, webhook } = await startMade()
    const eve = await world.caller('eve', 'admin')
    const refused = { status: 422, body: { code: 'invalid_body', errors: [{ path: 'callbackAs' }] } }
    for (const callbackAs of ['alice', 'owner', 'nobody', 'Eve']) {
      expect(await create(eve, { url: receiver.url, callbackAs })).toMatchObject(refused)
      const { body: own } = await create(eve, { url: receiver.url })
      expect(await change(eve, own.id, { callbackAs })).toMatchObject(refused)
    }
    const { body: made } = await create(eve, { url: receiver.url, callbackAs: 'eve' })
    expect(made.callbackAs).toBe('eve')
    // What votes for another goes nowhere else than that other said.
    expect(await change(eve, webhook, { url: `${receiver.url}/eve` })).toMatchObject({
      status: 422,
      body: { code: 'invalid_body', errors: [{ path: 'url' }] },
    })
    expect(await change(eve, webhook, { description: 'looked at' })).toMatchObject({ status: 200 })
    expect(await change(eve, webhook, { url: `${receiver.url}/eve`, callbackAs: null })).toMatchObject({ status: 200 })
  })

  test('leads nowhere once its endpoint votes for another, or has another URL', async () => {
    const { receiver, world, webhook } = await startMade()
    const first = await linksOf(world, receiver)
    const eve = await world.caller('eve', 'admin')
    expect(await change(eve, webhook, { callbackAs: 'eve' })).toMatchObject({ status: 200 })
    expect(await post(first.approve)).toMatchObject({ status: 404, body: { code: 'approval_not_found' } })
    const second = await linksOf(world, receiver)
    expect(await change(eve, webhook, { url: `${receiver.url}?moved` })).toMatchObject({ status: 200 })
    expect(await post(second.approve)).toMatchObject({ status: 404, body: { code: 'approval_not_found' } })
    const third = await linksOf(world, receiver)
    expect(await post(third.approve)).toMatchObject({ status: 200, body: { decidedBy: [{ name: 'eve' }] } })
    expect((await world.admin.record(first.id)).status).toBe('pending')
  })

  test('decides nothing from the moment on that its endpoint is switched off, disabled or gone, by whichever process', async () => {
    const { receiver, world, webhook } = await startMade()
    const db = openDatabase(join(world.dataDir, 'countersign.db'), MAIN_SCHEMA)
    const steps = [
      [
        () => db.prepare(`UPDATE webhooks SET doc = json_set(doc, '$.enabled', json('false')) WHERE id = ?`),
        () => db.prepare(`UPDATE webhooks SET doc = json_set(doc, '$.enabled', json('true')) WHERE id = ?`),
      ],
      [
        () => db.prepare(`UPDATE endpoint_health SET disabled_at = 1, disabled_reason = 'gone' WHERE endpoint = ?`),
        () => db.prepare('UPDATE endpoint_health SET disabled_at = NULL, disabled_reason = NULL WHERE endpoint = ?'),
      ],
      [() => db.prepare('DELETE FROM webhooks WHERE id = ?')],
    ]
    for (const [off, on] of steps) {
      const { id, approve } = await linksOf(world, receiver)
      expect((await fetch(approve)).status).toBe(200)
      off!().run(webhook)
      expect(await post(approve)).toMatchObject({ status: 404, body: { code: 'approval_not_found' } })
      expect((await fetch(approve)).status).toBe(404)
      expect((await world.admin.record(id)).status).toBe('pending')
      on?.().run(webhook)
    }
    db.close()
  })
})

describe('an agent that does not wait', () => {
  const config = (hosts: string[]) =>
    JSON.stringify({ network: NETWORK, callbacks: { hosts, secret: WEBHOOK_SECRET }, webhooks: [] })
  const askFor = (world: World, tool: string, callback: string) =>
    world.agent.ask(tool, { amount: 5 }, { ...ASYNC, context: { callback } })

  test.each([
    ['approve', 'approved'],
    ['deny', 'denied'],
  ])('is told at its callback when a person says %s', async (decision, status) => {
    const receiver = await startReceiver({ reply: (_got, count) => ({ status: count === 1 ? 503 : 204 }) })
    const world = await startWorld({ config: config(['127.0.0.1:*']) })
    const { body } = await askFor(world, 'stripe.refund', `${receiver.url}?run=42`)
    await world.admin.decide(body.approvalId!, decision, { reason: 'so be it' })
    await receiver.until(() => receiver.received.length === 2, 'the second attempt')
    const [got, again] = receiver.received
    expect(verified(got!)).toMatchObject({
      type: 'approval.decided',
      data: { id: body.approvalId, status, reason: 'so be it' },
    })
    expect(again?.text).toBe(got?.text)
    expect(got?.path).toBe('/hook?run=42')
    expect(got?.text).not.toContain('run=42')
  })

  test('is told of what nobody decided, and of what was cancelled', async () => {
    const receiver = await startReceiver()
    const world = await startWorld({ config: config(['127.0.0.1:*']) })
    await askFor(world, 'quick.thing', receiver.url)
    const { body } = await askFor(world, 'stripe.refund', receiver.url)
    await world.agent.send('DELETE', `/v1/actions/${body.approvalId}`)
    await receiver.until(() => receiver.received.length === 2, 'both')
    expect(receiver.received.map(({ body: { data } }) => data.status).sort()).toEqual(['cancelled', 'expired'])
  })

  test('may say so in a later call that joins; of several callbacks the first counts', async () => {
    const [receiver, late, watcher] = [await startReceiver(), await startReceiver(), await startReceiver()]
    const world = await startWorld({
      config: JSON.stringify({
        network: NETWORK,
        callbacks: { hosts: ['127.0.0.1:*'], secret: WEBHOOK_SECRET },
        webhooks: [{ id: 'ops', url: watcher.url, secret: WEBHOOK_SECRET }],
      }),
    })
    const { body } = await world.agent.ask('stripe.refund', { amount: 5 }, ASYNC)
    await watcher.until(() => watcher.received.length === 1, 'the request')
    for (const callback of [`${receiver.url}?run=7`, late.url, `${receiver.url}?run=7`])
      expect(await askFor(world, 'stripe.refund', callback)).toMatchObject({
        status: 202,
        body: { approvalId: body.approvalId },
      })
    await world.admin.decide(body.approvalId!, 'approve')
    await receiver.until(() => receiver.received.length > 0, 'the callback')
    await watcher.until(() => watcher.of('approval.decided').length === 1, 'the webhook')
    expect(verified(receiver.received[0]!)).toMatchObject({ data: { id: body.approvalId, status: 'approved' } })
    expect(receiver.received.map(({ path }) => path)).toEqual(['/hook?run=7'])
    expect(late.received).toEqual([])
    const { body: record } = await world.admin.send<{ history: { type: string }[] }>(
      'GET',
      `/v1/approvals/${body.approvalId}`,
    )
    expect(record.history.map(({ type }) => type)).toEqual(['requested', 'joined', 'approved'])
    expect(JSON.stringify(record)).not.toContain('run=7')
    await world.stop()
    const [stored] = await recordsIn(world.dataDir)
    expect(auditApproval(stored!)).toEqual([])
  })

  test('keeps its callback to itself: no list, stream or webhook shows it', async () => {
    const receiver = await startReceiver()
    const watcher = await startReceiver()
    const world = await startWorld({
      config: JSON.stringify({
        network: NETWORK,
        callbacks: { hosts: ['127.0.0.1:*'], secret: WEBHOOK_SECRET },
        webhooks: [{ id: 'ops', url: watcher.url, secret: WEBHOOK_SECRET }],
      }),
    })
    const stream = await world.admin.stream()
    const { body } = await askFor(world, 'stripe.refund', `${receiver.url}?token=s3cr3t-run`)
    await world.admin.decide(body.approvalId!, 'approve')
    await receiver.until(() => receiver.received.length === 1, 'the callback')
    await watcher.until(() => watcher.received.length === 2, 'the webhooks')
    await stream.frame(({ event }) => event === 'decided')
    const seen = [
      stream.frames,
      watcher.received.map(({ text }) => text),
      await world.admin.record(body.approvalId!),
      (await world.admin.send('GET', '/v1/approvals')).body,
      (await world.agent.send('GET', `/v1/actions/${body.approvalId}`)).body,
    ]
    expect(JSON.stringify(seen)).not.toContain('s3cr3t-run')
  })

  test.each([
    ['http://127.0.0.1:1/a', ['example.com'], 'names a host that is not in callbacks.hosts'],
    ['https://example.com.evil.test/', ['example.com', '*.example.com'], 'names a host that is not in callbacks.hosts'],
    ['https://user:pass@example.com/', ['example.com'], 'must hold no credentials before its host'],
    ['ftp://example.com/', ['example.com'], 'must be an https:// URL'],
    ['/relative', ['example.com'], 'must be an https:// URL'],
  ])('may not be told at %s where %j are allowed', async (callback, hosts, why) => {
    const world = await startWorld({ config: config(hosts) })
    const { status, body } = await askFor(world, 'stripe.refund', callback)
    expect([status, body.code, body.errors]).toEqual([
      422,
      'invalid_body',
      [{ path: 'context.callback', message: why }],
    ])
    expect((await world.admin.send<{ items: [] }>('GET', '/v1/approvals')).body.items).toEqual([])
  })

  test('may name no callback at all without `callbacks` in the configuration', async () => {
    const world = await startWorld()
    const { status, body } = await askFor(world, 'stripe.refund', 'https://example.com/')
    expect([status, body.detail]).toEqual([
      422,
      'context.callback is not taken here: the configuration has no callbacks.hosts.',
    ])
  })
})
