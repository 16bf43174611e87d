import { Writable } from 'node:stream'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { type Caller, startWorld } from '../support/server.ts'
import { startReceiver, verified, WEBHOOK_SECRET } from '../support/webhook-receiver.ts'

interface View {
  id: string
  secret: string
  source: string
  url: string
  enabled: boolean
  rotatingUntil?: string
  health: { disabled?: { reason: string }; failingSince?: string; lastSuccessAt?: string }
  code?: string
  detail?: string
  errors?: { path: string; message: string }[]
}
interface DeliveryItem {
  id: string
  status: string
  type: string
  eventId: string
  attempts: number
  log: { outcome: string; status?: number; detail?: string }[]
}

const ALLOWED = { network: { allowPrivate: ['127.0.0.1'] } }
const startAllowed = (more: object = {}) => startWorld({ config: JSON.stringify({ ...ALLOWED, ...more }) })

const create = (admin: Caller, body: object) => admin.send<View>('POST', '/v1/webhooks', { body })
const show = async (admin: Caller, id: string) => (await admin.send<View>('GET', `/v1/webhooks/${id}`)).body
const list = async (admin: Caller) => (await admin.send<{ items: View[] }>('GET', '/v1/webhooks')).body.items
const deliveriesOf = async (admin: Caller, id: string, query = '') =>
  (await admin.send<{ items: DeliveryItem[]; next?: string }>('GET', `/v1/webhooks/${id}/deliveries${query}`)).body

/** The deliveries as soon as they fit; reads again until then. */
async function deliveriesThat(admin: Caller, id: string, holds: (items: DeliveryItem[]) => boolean) {
  const deadline = Date.now() + 20_000
  for (;;) {
    const { items } = await deliveriesOf(admin, id)
    if (holds(items)) return items
    if (Date.now() > deadline) throw new Error(`deliveries stayed ${JSON.stringify(items)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('an endpoint that the API makes', () => {
  test('hears of approvals at once, signed with the secret that was shown once', async () => {
    const receiver = await startReceiver()
    const { admin, agent } = await startAllowed()
    const made = await create(admin, { url: receiver.url, events: ['approval.requested'], tools: ['stripe.*'] })
    expect(made.status).toBe(201)
    expect(made.headers.get('location')).toBe(`/v1/webhooks/${made.body.id}`)
    expect(made.body.id).toMatch(/^whk_[0-9a-z]{26}$/)
    expect(made.body.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    await agent.ask('two.people', {}, { headers: { prefer: 'respond-async' } })
    await agent.ask('stripe.refund', {}, { headers: { prefer: 'respond-async' } })
    await receiver.until(() => receiver.received.length > 0, 'the request')
    expect(verified(receiver.received[0]!, made.body.secret)).toMatchObject({ type: 'approval.requested' })
    const items = await deliveriesThat(admin, made.body.id, ([first]) => first?.status === 'delivered')
    expect(items).toMatchObject([{ attempts: 1, log: [{ outcome: 'delivered', status: 204 }] }])
    expect(receiver.received).toMatchObject([{ body: { data: { action: { tool: 'stripe.refund' } } } }])
    expect((await show(admin, made.body.id)).health.lastSuccessAt).toBeDefined()
  })

  test('is changed in what the body names, and survives a restart', async () => {
    const world = await startAllowed()
    const { admin } = world
    const { body: made } = await create(admin, {
      url: 'https://example.com/a?token=hidden',
      description: 'ops',
      risks: ['high'],
      callbackAs: 'owner',
    })
    expect(made.url).toBe('https://example.com/a?…')
    const change = { url: 'https://example.com/b', tools: ['mail.*'], enabled: false, callbackAs: null }
    const changed = await admin.send<View>('PATCH', `/v1/webhooks/${made.id}`, { body: change })
    expect(changed.body).toMatchObject({ ...change, description: 'ops', risks: ['high'], events: [], source: 'api' })
    await world.restart()
    expect(await show(admin, made.id)).toEqual(changed.body)
    expect((await admin.send('DELETE', `/v1/webhooks/${made.id}`)).status).toBe(204)
    expect((await admin.send('GET', `/v1/webhooks/${made.id}`)).body).toMatchObject({ code: 'webhook_not_found' })
    expect(await list(admin)).toEqual([])
  })

  test('never shows its secret again: not in lists, answers, deliveries, errors or logs', async () => {
    let logged = ''
    const sink = new Writable({
      write(chunk, _encoding, done) {
        logged += chunk
        done()
      },
    })
    const receiver = await startReceiver({ reply: () => ({ status: 500 }) })
    const { admin } = await startWorld({ config: JSON.stringify(ALLOWED), log: pino({ level: 'trace' }, sink) })
    const { body } = await create(admin, { url: `${receiver.url}?token=hidden-in-query`, secret: WEBHOOK_SECRET })
    await admin.send('POST', `/v1/webhooks/${body.id}/test`)
    await deliveriesThat(admin, body.id, ([first]) => (first?.log.length ?? 0) > 0)
    const bad = await create(admin, { url: receiver.url, secret: 'whsec_tooshort' })
    const seen = JSON.stringify([await list(admin), await deliveriesOf(admin, body.id), bad.body]) + logged
    expect(bad.body).toMatchObject({ code: 'invalid_body', errors: [{ path: 'secret' }] })
    for (const secret of [WEBHOOK_SECRET.slice(6), 'tooshort', 'hidden-in-query']) expect(seen).not.toContain(secret)
  })

  test('signs with both secrets after a rotation, and with the new one alone where there is no overlap', async () => {
    const receiver = await startReceiver()
    const { admin } = await startAllowed()
    const { body: made } = await create(admin, { url: receiver.url })
    const sendTest = async () => {
      const count = receiver.received.length
      await admin.send('POST', `/v1/webhooks/${made.id}/test`)
      await receiver.until(() => receiver.received.length > count, 'a test')
      return receiver.received[count]!
    }
    const rotate = (body: object) => admin.send<View>('POST', `/v1/webhooks/${made.id}/rotate`, { body })
    const { body: second } = await rotate({})
    expect(second.secret).not.toBe(made.secret)
    expect(Date.parse(second.rotatingUntil!) - Date.now()).toBeGreaterThan(23 * 3_600_000)
    const both = await sendTest()
    for (const secret of [made.secret, second.secret]) expect(() => verified(both, secret)).not.toThrow()
    const { body: third } = await rotate({ overlapMs: 0, secret: WEBHOOK_SECRET })
    expect(third).toMatchObject({ secret: WEBHOOK_SECRET })
    expect(third.rotatingUntil).toBeUndefined()
    const alone = await sendTest()
    expect(() => verified(alone, WEBHOOK_SECRET)).not.toThrow()
    for (const secret of [made.secret, second.secret]) expect(() => verified(alone, secret)).toThrow()
  })

  test('that answers 410 is disabled, says so, and is tried again once it is enabled', async () => {
    const receiver = await startReceiver({ reply: () => ({ status: 410 }) })
    const { admin } = await startAllowed()
    const { body: made } = await create(admin, { url: receiver.url })
    const sendTest = () => admin.send('POST', `/v1/webhooks/${made.id}/test`)
    expect((await sendTest()).status).toBe(202)
    await deliveriesThat(admin, made.id, ([first]) => first?.status === 'dead')
    await expect.poll(async () => (await show(admin, made.id)).health.disabled).toMatchObject({ reason: 'gone' })
    expect(await sendTest()).toMatchObject({ status: 409, body: { code: 'webhook_disabled' } })
    receiver.reply = () => ({})
    const enabled = await admin.send<View>('POST', `/v1/webhooks/${made.id}/enable`)
    expect(enabled.body.health.disabled).toBeUndefined()
    await sendTest()
    await deliveriesThat(admin, made.id, (items) => items.some(({ status }) => status === 'delivered'))
  })

  test('that a person switched off is switched on by enable', async () => {
    const { admin } = await startAllowed()
    const { body: made } = await create(admin, { url: 'https://example.com', enabled: false })
    expect(await admin.send('POST', `/v1/webhooks/${made.id}/test`)).toMatchObject({ status: 409 })
    expect((await admin.send<View>('POST', `/v1/webhooks/${made.id}/enable`)).body.enabled).toBe(true)
  })
})

describe('deliveries', () => {
  test('are listed newest first, by pages and by status', async () => {
    const receiver = await startReceiver()
    const { admin } = await startAllowed()
    const { body: made } = await create(admin, { url: receiver.url })
    const sent: string[] = []
    for (let index = 0; index < 5; index++)
      sent.unshift((await admin.send<DeliveryItem>('POST', `/v1/webhooks/${made.id}/test`)).body.id)
    await deliveriesThat(admin, made.id, (items) => items.every(({ status }) => status === 'delivered'))
    const first = await deliveriesOf(admin, made.id, '?limit=3')
    const second = await deliveriesOf(admin, made.id, `?limit=3&after=${first.next}`)
    expect([...first.items, ...second.items].map(({ id }) => id).sort()).toEqual([...sent].sort())
    expect(second.next).toBeUndefined()
    expect((await deliveriesOf(admin, made.id, '?status=dead')).items).toEqual([])
    for (const query of ['?limit=0', '?limit=201', '?after=x', '?status=lost', '?unknown=1'])
      expect(await admin.send('GET', `/v1/webhooks/${made.id}/deliveries${query}`)).toMatchObject({
        status: 400,
        body: { code: 'invalid_request' },
      })
  })

  test('are replayed one by one, with the same webhook-id, or all that were given up since then', async () => {
    const receiver = await startReceiver()
    const { admin } = await startAllowed()
    const { body: made } = await create(admin, { url: receiver.url })
    const before = new Date(Date.now() - 1_000).toISOString()
    await admin.send('POST', `/v1/webhooks/${made.id}/test`)
    const [delivery] = await deliveriesThat(admin, made.id, ([first]) => first?.status === 'delivered')
    const path = `/v1/webhooks/${made.id}/deliveries/${delivery!.id}/replay`
    expect(await admin.send<DeliveryItem>('POST', path)).toMatchObject({ status: 200, body: { id: delivery!.id } })
    await receiver.until(() => receiver.received.length === 2, 'the replay')
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual([
      delivery!.eventId,
      delivery!.eventId,
    ])

    receiver.reply = () => ({ status: 410 })
    await admin.send('POST', `/v1/webhooks/${made.id}/test`)
    await deliveriesThat(admin, made.id, (items) => items.some(({ status }) => status === 'dead'))
    receiver.reply = () => ({})
    await expect.poll(async () => (await show(admin, made.id)).health.disabled).toBeDefined()
    await admin.send('POST', `/v1/webhooks/${made.id}/enable`)
    const replay = (since: string) => admin.send('POST', `/v1/webhooks/${made.id}/replay`, { body: { since } })
    expect((await replay('2999-01-01T00:00:00Z')).body).toEqual({ replayed: 0 })
    expect((await replay(before)).body).toEqual({ replayed: 1 })
    await deliveriesThat(admin, made.id, (items) => items.every(({ status }) => status === 'delivered'))
    for (const since of ['yesterday', '2026', '2026-13-40T00:00:00Z'])
      expect(await replay(since)).toMatchObject({ status: 422, body: { errors: [{ path: 'since' }] } })
  })
})

describe('who may', () => {
  test('admins alone, and each tenant its own: what another has is not there', async () => {
    const world = await startAllowed()
    const { admin, agent } = world
    const { body: made } = await create(admin, { url: 'https://example.com' })
    const approver = await world.caller('bob', 'approver')
    for (const caller of [agent, approver, await world.caller('olga', 'observer')])
      expect(await caller.send('GET', '/v1/webhooks')).toMatchObject({ status: 403 })
    expect((await fetch(`${world.url}/v1/webhooks`)).status).toBe(401)

    const other = await world.caller('eve', 'admin', { tenant: 'other' })
    expect(await list(other)).toEqual([])
    const requests: [string, string, object?][] = [
      ['GET', ''],
      ['PATCH', '', { enabled: false }],
      ['DELETE', ''],
      ['POST', '/rotate', {}],
      ['POST', '/test'],
      ['POST', '/enable'],
      ['GET', '/deliveries'],
      ['POST', '/replay', { since: '2026-01-01T00:00:00Z' }],
      ['POST', '/deliveries/dlv_x/replay'],
    ]
    for (const [method, path, body] of requests) {
      const options = body ? { body } : {}
      const theirs = await other.send(method, `/v1/webhooks/${made.id}${path}`, options)
      const nobodys = await other.send(method, `/v1/webhooks/whk_unknown${path}`, options)
      expect(theirs.status, `${method} ${path}`).toBe(404)
      expect({ ...theirs.body, traceId: '' }).toEqual({ ...nobodys.body, traceId: '' })
    }
    expect(await show(admin, made.id)).toEqual((await list(admin))[0])
  })

  test('nobody replays through one endpoint what was for another', async () => {
    const receiver = await startReceiver()
    const { admin } = await startAllowed()
    const [one, two] = [await create(admin, { url: receiver.url }), await create(admin, { url: receiver.url })]
    const { body: sent } = await admin.send<DeliveryItem>('POST', `/v1/webhooks/${one.body.id}/test`)
    const answer = await admin.send('POST', `/v1/webhooks/${two.body.id}/deliveries/${sent.id}/replay`)
    expect(answer).toMatchObject({ status: 404, body: { code: 'delivery_not_found' } })
  })
})

describe('what is refused', () => {
  test.each([
    ['no URL', 'nonsense', 'must be an https:// URL'],
    ['another protocol', 'ftp://example.com', 'must be an https:// URL'],
    ['credentials', 'https://user:hunter2@example.com', 'must hold no credentials'],
    ['a fragment', 'https://example.com/#x', 'must have no fragment'],
    ['http to a name', 'http://example.com', 'cannot be used'],
    ['a private address', 'https://10.0.0.1/', 'cannot be used'],
    ['loopback, spelt otherwise', 'https://0x7f.1/', 'cannot be used'],
    ['metadata', 'http://169.254.169.254/latest', 'cannot be used'],
    ['mapped loopback', 'https://[::ffff:127.0.0.1]/', 'cannot be used'],
  ])('a URL with %s', async (_, url, message) => {
    const { admin } = await startWorld()
    const answer = await create(admin, { url })
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_body', errors: [{ path: 'url' }] } })
    expect(answer.body.errors?.[0]?.message).toContain(message)
    expect(JSON.stringify(answer.body)).not.toMatch(/hunter2|169\.254|10\.0\.0/)
    expect(await list(admin)).toEqual([])
  })

  test('a body that says anything else, and changes nothing', async () => {
    const { admin } = await startAllowed()
    const url = 'https://example.com'
    const { body: made } = await create(admin, { url })
    const bodies = [
      {},
      { url: 5 },
      { url, events: ['approval.lost'] },
      { url, risks: ['none'] },
      { url, tools: ['a?'] },
      { url, tools: [''] },
      { url, callbackAs: 'a b' },
      { url, description: 'x'.repeat(201) },
      { url: `https://example.com/${'x'.repeat(2_048)}` },
      { url, tenant: 'other' },
    ]
    for (const body of bodies) expect((await create(admin, body)).status, JSON.stringify(body).slice(0, 80)).toBe(422)
    for (const body of [{}, { id: 'x' }, { secret: WEBHOOK_SECRET }, { url: 'nonsense' }, { tools: ['('] }])
      expect((await admin.send('PATCH', `/v1/webhooks/${made.id}`, { body })).status).toBe(422)
    for (const body of [{ overlapMs: -1 }, { overlapMs: 999_999_999_999 }, { secret: 'x' }])
      expect((await admin.send('POST', `/v1/webhooks/${made.id}/rotate`, { body })).status).toBe(422)
    expect((await list(admin)).length).toBe(1)
  })

  test('one too many', async () => {
    const { admin } = await startAllowed()
    const made = await Promise.all(Array.from({ length: 100 }, () => create(admin, { url: 'https://example.com' })))
    expect(new Set(made.map(({ status }) => status))).toEqual(new Set([201]))
    const answer = await create(admin, { url: 'https://example.com' })
    expect(answer).toMatchObject({ status: 409, body: { code: 'too_many_webhooks' } })
  })
})

describe('an endpoint of the configuration', () => {
  test('is listed with its health and its deliveries, tested and replayed, and changed by nobody', async () => {
    const receiver = await startReceiver()
    const { admin } = await startAllowed({ webhooks: [{ id: 'ops', url: receiver.url, secret: WEBHOOK_SECRET }] })
    expect(await list(admin)).toMatchObject([{ id: 'ops', source: 'config', enabled: true, tenant: 'default' }])
    expect((await admin.send('POST', '/v1/webhooks/ops/test')).status).toBe(202)
    const [delivery] = await deliveriesThat(admin, 'ops', ([first]) => first?.status === 'delivered')
    expect(verified(receiver.received[0]!)).toMatchObject({ type: 'webhook.test', data: { id: 'ops' } })
    expect((await admin.send('POST', `/v1/webhooks/ops/deliveries/${delivery!.id}/replay`)).status).toBe(200)
    await receiver.until(() => receiver.received.length === 2, 'the replay')
    for (const [method, path, body] of [
      ['PATCH', '', { enabled: false }],
      ['DELETE', ''],
      ['POST', '/rotate', {}],
    ] as const)
      expect(await admin.send(method, `/v1/webhooks/ops${path}`, body ? { body } : {})).toMatchObject({
        status: 409,
        body: { code: 'webhook_read_only' },
      })
    expect((await admin.send('POST', '/v1/webhooks/ops/enable')).status).toBe(200)
    expect(JSON.stringify(await list(admin))).not.toContain(WEBHOOK_SECRET.slice(6))
  })

  test('is of its tenant, hears what its filters let through, and nothing while it is switched off', async () => {
    const [ops, off] = [await startReceiver(), await startReceiver()]
    const world = await startAllowed({
      webhooks: [
        { id: 'ops', url: ops.url, secret: WEBHOOK_SECRET, events: ['approval.requested'], risks: ['high'] },
        { id: 'off', url: off.url, secret: WEBHOOK_SECRET, enabled: false },
        { id: 'theirs', url: off.url, secret: WEBHOOK_SECRET, tenant: 'other' },
      ],
    })
    expect((await list(world.admin)).map(({ id }) => id)).toEqual(['ops', 'off'])
    const other = await world.caller('eve', 'admin', { tenant: 'other' })
    expect((await list(other)).map(({ id }) => id)).toEqual(['theirs'])
    for (const tool of ['two.people', 'stripe.refund'])
      await world.agent.ask(tool, {}, { headers: { prefer: 'respond-async' } })
    await ops.until(() => ops.received.length > 0, 'the request')
    expect(ops.received).toMatchObject([{ body: { data: { action: { tool: 'stripe.refund' } } } }])
    expect(off.received).toEqual([])
    expect(await world.admin.send('POST', '/v1/webhooks/off/enable')).toMatchObject({ status: 409 })
  })
})
