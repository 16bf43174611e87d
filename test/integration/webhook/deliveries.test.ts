import { expect, it, onTestFinished } from 'vitest'
import { createDeliveryStore } from '../../../lib/adapters/sqlite/delivery-store.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { createWebhookStore } from '../../../lib/adapters/sqlite/webhook-store.ts'
import { createWebhookSender } from '../../../lib/adapters/webhook/sender.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { type DomainEvent, Topic } from '../../../lib/core/events.ts'
import type { Channel } from '../../../lib/ports/channel.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { Deliveries } from '../../../services/notifier/deliveries/deliveries.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { aWebhook } from '../../support/deliveries.ts'
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

/** The deliveries of a notifier over a real log and store; `lookup` is the decider's. */
function open(lookup: (id: string) => Approval, options: { channels?: Channel[]; urls?: string[] } = {}) {
  const path = temporaryDirectory()
  const storage = openMainStorage(path)
  const log = createLogger('silent')
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
      filter: { events: [], tools: [], risks: [] },
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
    bus,
    store,
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
