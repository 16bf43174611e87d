import { expect, it, onTestFinished } from 'vitest'
import { createDeliveryStore } from '../../../lib/adapters/sqlite/delivery-store.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { createWebhookStore } from '../../../lib/adapters/sqlite/webhook-store.ts'
import { createWebhookSender } from '../../../lib/adapters/webhook/sender.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { type DomainEvent, Topic } from '../../../lib/core/events.ts'
import type { NotificationType } from '../../../lib/core/notification.ts'
import type { Channel } from '../../../lib/ports/channel.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { Deliveries } from '../../../services/notifier/deliveries/deliveries.ts'
import { deliveryId } from '../../../services/notifier/deliveries/new-delivery.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { aDelivery, aWebhook, delivered } from '../../support/deliveries.ts'
import { startReceiver, WEBHOOK_SECRET } from '../../support/webhook-receiver.ts'
import { pending, requested } from '../../unit/core/fixture.ts'

const HOUR = 3_600_000
let made = 0

/** A request of its own, so many milliseconds ago. */
function request(agoMs = 0): DomainEvent & { topic: 'approval.requested' } {
  const id = `apr_01jd${String(++made).padStart(22, '0')}`
  const at = Date.now() - agoMs
  return { topic: Topic.requested, eventId: `${id}:1`, at, data: requested({ id, requestedAt: at, timeoutMs: HOUR }) }
}

const decision = ({ data: { id } }: DomainEvent, at = Date.now()): DomainEvent => ({
  topic: Topic.decided,
  eventId: `${id}:2`,
  at,
  data: {
    ...{ id, tenant: 'default', outcome: 'approved', decidedBy: [], reason: null, edited: false },
    ...{ decidedAt: at, version: 2, fingerprint: null, historyHash: 'a'.repeat(64) },
  },
})

const escalation = ({ data: { id, tenant } }: DomainEvent, channels: string[]): DomainEvent => ({
  topic: Topic.escalated,
  eventId: `${id}:2`,
  at: Date.now(),
  data: {
    ...{ id, tenant, step: 1, approvers: [], requirements: [], added: [], channels, expiresAt: Date.now() + HOUR },
    ...{ version: 2, historyHash: 'a'.repeat(64), at: Date.now() },
  },
})

/** A channel of this tenant that wants this alone, and all that it was told: types and tenants. */
function aChannel(id: string, tenant: string, wanted: (type: string) => boolean) {
  const told: string[] = []
  const channel: Channel = {
    id,
    tenant,
    wants: ({ type }) => wanted(type),
    async deliver({ type, approval }) {
      told.push(`${type} ${approval.id}`)
      return { type: 'delivered' }
    },
  }
  return { channel, told }
}

/** The deliveries of a notifier over a real log and store; `lookup` is the decider's. */
function open(
  lookup: (id: string) => Approval,
  options: { channels?: Channel[]; urls?: string[]; events?: NotificationType[] } = {},
) {
  const path = temporaryDirectory()
  const storage = openMainStorage(path)
  const lines: string[] = []
  const log = createLogger('warn', { write: (line: string) => lines.push(line) })
  const bus = createLogBus({ ...storage, codec: jsonCodec, clock: systemClock, source: 'test' })
  const store = createDeliveryStore(storage)
  const webhooks = createWebhookStore(storage)
  const sender = createWebhookSender({ allowPrivate: ['127.0.0.1'], userAgent: 'test', clock: systemClock })
  const deliveries = new Deliveries({
    ...{ bus, store, webhooks, sender, clock: systemClock, log, metrics: createMetrics(), random: () => 0 },
    decider: { lookup: async (_tenant: string, id: string) => lookup(id) } as unknown as Decider,
    identity: {} as Identity,
    listed: (options.urls ?? []).map((url, index) => ({
      ...aWebhook({ id: `hook-${index}`, url, createdAt: 0 }),
      filter: { events: options.events ?? [], tools: [], risks: [] },
      secrets: [{ secret: WEBHOOK_SECRET, until: null }],
    })),
    channels: options.channels ?? [],
    callbacks: undefined,
    callbackKey: Buffer.alloc(32, 1),
    publicUrl: undefined,
    pace: { pauseMs: () => 1 },
    owner: 'worker-1',
    retentionMs: HOUR,
  })
  onTestFinished(async () => {
    await deliveries.close()
    await bus.close()
    await sender.close()
    await store.close()
    await webhooks.close()
    storage.close()
    remove(path)
  })
  return {
    ...{ bus, store, webhooks, lines },
    async start() {
      await deliveries.start()
      deliveries.listening('http://localhost')
    },
  }
}

const unknown = (): never => {
  throw new CountersignError('approval_not_found')
}

it('tells an endpoint that was never tried of nothing older than an hour, and then of everything since', async () => {
  const receiver = await startReceiver()
  const { bus, start } = open(unknown, { urls: [receiver.url] })
  const [old, fresh] = [request(2 * HOUR), request(HOUR / 2)]
  await bus.publish([old, fresh])
  await start()
  await receiver.until(() => receiver.received.length === 1, 'the fresh one')
  expect(receiver.received[0]?.body.data.id).toBe(fresh.data.id)
})

it('delivers an event that comes twice once', async () => {
  const receiver = await startReceiver()
  const { bus, start } = open(unknown, { urls: [receiver.url] })
  const event = request()
  const last = request()
  await start()
  await bus.publish([event, event])
  await bus.publish([event, last])
  const ofLast = () => receiver.received.filter(({ body }) => body.data.id === last.data.id)
  await receiver.until(() => ofLast().length === 1, 'the last')
  expect(receiver.received).toHaveLength(2)
})

it('waits for a record that cannot be read now, and tells of it as it stood right after the event', async () => {
  const receiver = await startReceiver()
  let looks = 0
  const event = request()
  const { bus, start } = open(
    (id) => {
      looks += 1
      if (looks < 3) throw new CountersignError('decider_unavailable')
      // It is further by now.
      const settlement = { outcome: 'executed' as const, status: null, detail: null, gate: 'gate', at: Date.now() }
      return { ...pending({ id }), status: 'settled', version: 4, reason: 'later', settlement }
    },
    { urls: [receiver.url] },
  )
  await start()
  await bus.publish([decision(event)])
  await receiver.until(() => receiver.received.length === 1, 'the decision')
  const { data } = receiver.received[0]!.body
  expect(data).toMatchObject({ id: event.data.id, status: 'approved', version: 2 })
  expect(data).not.toHaveProperty('settlement')
  expect(data).not.toHaveProperty('reason')
})

it('goes on after an event whose record is gone', async () => {
  const receiver = await startReceiver()
  const { bus, start } = open(unknown, { urls: [receiver.url] })
  const next = request()
  await start()
  await bus.publish([decision(request()), next])
  await receiver.until(() => receiver.received.length === 1, 'the next')
  expect(receiver.received[0]?.body.data.id).toBe(next.data.id)
})

it('tells a channel of one approval in order, and hands it the receipt that it gave', async () => {
  const seen: [string, string | null, number][] = []
  const channel: Channel = {
    id: 'chat',
    tenant: 'default',
    wants: ({ type }) => type !== 'approval.settled',
    async deliver({ type }, { receipt, attempt }) {
      seen.push([type, receipt, attempt])
      if (type === 'approval.requested' && attempt === 1) return { type: 'failed', detail: 'not now', retryAfterMs: 0 }
      return { type: 'delivered', receipt: `of ${type}` }
    },
  }
  const event = request()
  const { bus, start } = open(() => ({ ...pending(), id: event.data.id, expiresAt: Date.now() + HOUR }), {
    channels: [channel],
  })
  await start()
  await bus.publish([event])
  await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(2)
  await bus.publish([decision(event)])
  await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(3)
  expect(seen).toEqual([
    ['approval.requested', null, 1],
    ['approval.requested', null, 2],
    ['approval.decided', 'of approval.requested', 1],
  ])
})

it('tells nobody of another tenant, also when a step names them', async () => {
  const [ours, theirs] = [aChannel('ours', 'default', () => true), aChannel('theirs', 'acme', () => true)]
  const event = request()
  const { bus, store, start } = open(() => ({ ...pending(), id: event.data.id, expiresAt: Date.now() + HOUR }), {
    channels: [ours.channel, theirs.channel],
  })
  await start()
  await bus.publish([event])
  await bus.publish([escalation(event, ['ours', 'theirs'])])
  await expect.poll(() => ours.told.length, { timeout: 10_000 }).toBe(2)
  expect(await store.list({ tenant: 'default', endpoint: 'theirs', limit: 10 })).toEqual([])
})

it('tells whoever was told by a step alone of the outcome too', async () => {
  const receiver = await startReceiver()
  const pager = aChannel('pager', 'default', () => false)
  const idle = aChannel('idle', 'default', () => false)
  const event = request()
  const { bus, store, start } = open(() => ({ ...pending(), id: event.data.id, expiresAt: Date.now() + HOUR }), {
    channels: [pager.channel, idle.channel],
    ...{ urls: [receiver.url], events: ['approval.expiring'] },
  })
  await start()
  await bus.publish([event])
  await bus.publish([escalation(event, ['pager', 'hook-0'])])
  await expect.poll(() => pager.told.length, { timeout: 10_000 }).toBe(1)
  await bus.publish([{ ...decision(event), eventId: `${event.data.id}:3` }])
  await expect.poll(() => pager.told.length, { timeout: 10_000 }).toBe(2)
  await receiver.until(() => receiver.received.length === 2, 'the outcome')
  const { id } = event.data
  expect(pager.told).toEqual([`approval.escalated ${id}`, `approval.decided ${id}`])
  expect(receiver.received.map(({ body }) => body.type)).toEqual(['approval.escalated', 'approval.decided'])
  expect(await store.list({ tenant: 'default', endpoint: 'idle', limit: 10 })).toEqual([])
})

it('says once in the log that a step names nobody of its tenant', async () => {
  const theirs = aChannel('theirs', 'acme', () => true)
  const { bus, start, lines } = open(() => ({ ...pending(), expiresAt: Date.now() + HOUR }), {
    channels: [theirs.channel],
  })
  await start()
  await bus.publish([escalation(request(), ['typo']), escalation(request(), ['typo', 'theirs'])])
  await expect.poll(() => lines.length, { timeout: 10_000 }).toBe(2)
  await bus.publish([escalation(request(), ['theirs', 'typo', 'last'])])
  await expect.poll(() => lines.length, { timeout: 10_000 }).toBe(3)
  expect(lines.map((line) => JSON.parse(line).channel)).toEqual(['typo', 'theirs', 'last'])
})

it.each([
  ['the outcome', [] as NotificationType[]],
  ['no outcome', ['approval.requested'] as NotificationType[]],
])('asks nobody after the outcome: the request came later, at one who hears of %s', async (_what, events) => {
  const receiver = await startReceiver()
  const [event, next] = [request(), request()]
  const { bus, store, start } = open(() => ({ ...pending(), status: 'approved' }), { urls: [receiver.url], events })
  await start()
  await bus.publish([decision(event)])
  if (events.length === 0) await receiver.until(() => receiver.received.length === 1, 'the decision')
  await bus.publish([event])
  await bus.publish([next])
  const ofNext = () => receiver.received.filter(({ body }) => body.data.id === next.data.id)
  await receiver.until(() => ofNext().length === 1, 'the next')
  expect(receiver.of('approval.requested').map(({ body }) => body.data.id)).toEqual([next.data.id])
  const stopped = await store.list({ tenant: 'default', endpoint: 'hook-0', status: 'stopped', limit: 10 })
  expect(stopped.map(({ approvalId, attempts }) => [approvalId, attempts])).toEqual([[event.data.id, 0]])
})

it('tells of what came of a call as it was decided, also when the request came after the decision', async () => {
  const receiver = await startReceiver()
  const event = request()
  const { id } = event.data
  const { bus, start } = open(() => ({ ...pending({ id }), status: 'approved', version: 2 }), { urls: [receiver.url] })
  await start()
  await bus.publish([decision(event)])
  await bus.publish([event])
  const settled = { use: 1, outcome: 'executed', status: null, detail: null, gate: 'gate' } as const
  const data = { id, tenant: 'default', ...settled, settledAt: Date.now(), version: 4, historyHash: 'a'.repeat(64) }
  await bus.publish([{ topic: Topic.settled, eventId: `${id}:4`, at: Date.now(), data }])
  await receiver.until(() => receiver.of('approval.settled').length === 1, 'what came of it')
  expect(receiver.of('approval.settled')[0]?.body.data).toMatchObject({
    status: 'settled',
    decidedAt: expect.any(String),
  })
})

it('asks nobody after an outcome that another notifier told of', async () => {
  const receiver = await startReceiver()
  const event = request()
  const { bus, store, start } = open(unknown, { urls: [receiver.url] })
  const told = aDelivery({ endpoint: 'elsewhere', approvalId: event.data.id, type: 'approval.decided', version: 2 })
  await store.insert([delivered(told)])
  await start()
  await bus.publish([event, request()])
  await receiver.until(() => receiver.received.length === 1, 'the other one')
  const [stopped] = await store.list({ tenant: 'default', endpoint: 'hook-0', status: 'stopped', limit: 10 })
  expect(stopped?.approvalId).toBe(event.data.id)
})

it('tells at its start of an endpoint that was disabled before a crash, once', async () => {
  const receiver = await startReceiver()
  const { store, webhooks, start } = open(unknown, { urls: [receiver.url] })
  const at = Date.now() - HOUR / 2
  await webhooks.disable({ endpoint: 'whk_gone', tenant: 'default', at, reason: 'gone' })
  await webhooks.disable({ endpoint: 'whk_theirs', tenant: 'acme', at, reason: 'gone' })
  await webhooks.disable({ endpoint: 'whk_long_ago', tenant: 'default', at: at - HOUR, reason: 'failing' })
  await start()
  await receiver.until(() => receiver.received.length === 1, 'word of it')
  expect(receiver.received[0]?.body).toMatchObject({
    type: 'webhook.disabled',
    timestamp: new Date(at).toISOString(),
    data: { id: 'whk_gone', reason: 'gone' },
  })
  // Whoever disabled it made the same, if they came to it.
  const told = await store.list({ tenant: 'default', endpoint: 'hook-0', limit: 10 })
  expect(told.map(({ id }) => id)).toEqual([deliveryId(`webhook.disabled:whk_gone:${at}`, 'hook-0')])
})
