import { expect, it, onTestFinished } from 'vitest'
import { createDeliveryStore } from '../../../lib/adapters/sqlite/delivery-store.ts'
import { createWebhookStore } from '../../../lib/adapters/sqlite/webhook-store.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { AttemptOutcome } from '../../../lib/ports/channel.ts'
import type { Delivery } from '../../../lib/ports/delivery-store.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import type { Endpoint } from '../../../services/notifier/deliveries/endpoint.ts'
import { Health } from '../../../services/notifier/deliveries/health.ts'
import { Worker } from '../../../services/notifier/deliveries/worker.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { aDelivery, CREATED_AT } from '../../support/deliveries.ts'
import { HandClock } from '../../support/hand-clock.ts'
import { pending } from '../../unit/core/fixture.ts'

const S = 1_000
const M = 60 * S
const H = 60 * M

type Attempt = (delivery: Delivery, signal: AbortSignal) => Promise<AttemptOutcome> | AttemptOutcome
const FAILED: AttemptOutcome = { type: 'failed', detail: 'it answered with the status 500', status: 500 }
const DELIVERED: AttemptOutcome = { type: 'delivered', status: 204 }
const HANGING = () => new Promise<never>(() => {})

/** A real store, time by hand, and endpoints that do as they are told. */
function start() {
  const path = temporaryDirectory()
  const storage = openMainStorage(path)
  const clock = new HandClock(CREATED_AT)
  const store = createDeliveryStore(storage)
  const webhooks = createWebhookStore(storage)
  const log = createLogger('silent')
  const metrics = createMetrics()
  const endpoints = new Map<string, Endpoint>()
  const disabled: string[] = []
  const lookup = { answer: (): Approval => ({ ...pending(), expiresAt: Number.MAX_SAFE_INTEGER }) }
  const workers: Worker[] = []
  const attempts: { at: number; delivery: Delivery }[] = []
  const inFlight = { now: 0, most: 0 }
  const health = new Health({
    ...{ webhooks, clock, log, metrics },
    onDisabled: async ({ endpoint, reason }) => {
      disabled.push(`${endpoint} ${reason}`)
    },
  })

  onTestFinished(async () => {
    await clock.pass(0)
    const closing = Promise.all(workers.map((worker) => worker.close()))
    await clock.pass(2 * S)
    await closing
    await store.close()
    await webhooks.close()
    storage.close()
    remove(path)
  })
  return {
    ...{ clock, store, webhooks, endpoints, disabled, lookup, attempts, inFlight },
    endpoint(id: string, attempt: Attempt, more: Partial<Endpoint> = {}): void {
      endpoints.set(id, {
        ...{ id, tenant: 'default', label: id, since: 0, isOpen: true, canBeDisabled: true },
        ...{ hearsOfEndpoints: false, callbackAs: null, wants: () => true, bodyOf: () => '' },
        async attempt(delivery, signal) {
          attempts.push({ at: clock.now(), delivery })
          inFlight.now += 1
          inFlight.most = Math.max(inFlight.most, inFlight.now)
          try {
            return await attempt(delivery, signal)
          } finally {
            inFlight.now -= 1
          }
        },
        ...more,
      })
    },
    work(owner = 'worker-1'): Worker {
      const worker = new Worker({
        ...{ store, health, clock, log, metrics, owner },
        endpoints: { current: async () => ({ all: [...endpoints.values()], get: (id) => endpoints.get(id) }) },
        decider: { lookup: async () => lookup.answer() },
        pace: { pauseMs: () => 10 },
        random: () => 0,
      })
      workers.push(worker)
      worker.wake()
      return worker
    },
    /** When the attempts were made, after the first. */
    times: () => attempts.map(({ at }) => at - (attempts[0]?.at ?? 0)),
    statusOf: async ({ id }: Delivery) => (await store.get(id))?.status,
  }
}

/** The ladder, give or take what the worker needs to look. */
const steps = (times: readonly number[]) =>
  times.slice(1).map((time, index) => Math.floor((time - (times[index] ?? 0)) / S))

it('tries what asks by the short ladder until it arrives, the same each time', async () => {
  const world = start()
  const asking = aDelivery({ type: 'approval.requested', body: '{"a":1}' })
  world.endpoint('ops', () => (world.attempts.length < 8 ? FAILED : DELIVERED))
  await world.store.insert([asking])
  world.work()
  await world.clock.until(() => world.attempts.length === 8, H)
  await world.clock.pass(S)
  expect(steps(world.times())).toEqual([2, 5, 15, 60, 300, 300, 300])
  expect(new Set(world.attempts.map(({ delivery: { id, eventId, body } }) => `${id} ${eventId} ${body}`)).size).toBe(1)
  const { status, log, attempts, endedAt } = (await world.store.get(asking.id))!
  expect([status, log.length, attempts, endedAt !== null]).toEqual(['delivered', 8, 8, true])
  expect(log.map(({ outcome }) => outcome)).toEqual([...Array(7).fill('failed'), 'delivered'])
})

it('gives an outcome up after the eighth attempt, more than a day later', async () => {
  const world = start()
  const telling = aDelivery({ type: 'approval.decided' })
  world.endpoint('ops', () => FAILED)
  await world.store.insert([telling])
  world.work()
  for (let attempt = 1; attempt <= 8; attempt++) {
    await world.clock.until(() => world.attempts.length === attempt, M)
    await world.clock.pass(100)
    const { dueAt } = (await world.store.get(telling.id))!
    world.clock.leap(dueAt - world.clock.now() - S)
  }
  world.clock.leap(48 * H)
  await world.clock.pass(M)
  expect(steps(world.times())).toEqual([5, 60, 300, 1_800, 7_200, 28_800, 86_400])
  expect(await world.statusOf(telling)).toBe('dead')
})

it.each<[string, () => Approval, Delivery['status']]>([
  ['is decided', () => ({ ...pending(), status: 'approved' }), 'stopped'],
  ['will be over', () => ({ ...pending(), expiresAt: CREATED_AT + S }), 'stopped'],
  ['waits', () => ({ ...pending(), expiresAt: CREATED_AT + H }), 'waiting'],
  [
    'cannot be read',
    () => {
      throw new CountersignError('decider_unavailable')
    },
    'waiting',
  ],
  [
    'is not there yet',
    () => {
      throw new CountersignError('approval_not_found')
    },
    'waiting',
  ],
])('after a failure asks on only while the approval waits: it %s', async (_what, answer, expected) => {
  const world = start()
  const asking = aDelivery({ type: 'approval.requested' })
  world.lookup.answer = answer
  world.endpoint('ops', () => FAILED)
  await world.store.insert([asking])
  world.work()
  await world.clock.until(() => world.attempts.length === 1, M)
  await world.clock.pass(S)
  expect(await world.statusOf(asking)).toBe(expected)
})

it('does not ask for ever for what nobody has a record of', async () => {
  const world = start()
  const asking = aDelivery({ type: 'approval.requested' })
  world.lookup.answer = () => {
    throw new CountersignError('approval_not_found')
  }
  world.endpoint('ops', () => FAILED)
  await world.store.insert([asking])
  world.work()
  await world.clock.pass(20 * M)
  expect(await world.statusOf(asking)).toBe('stopped')
}, 30_000)

it('comes back when it was told to', async () => {
  const world = start()
  world.endpoint('ops', () => (world.attempts.length === 1 ? { ...FAILED, retryAfterMs: 90 * S } : DELIVERED))
  await world.store.insert([aDelivery({ type: 'approval.requested' })])
  world.work()
  await world.clock.until(() => world.attempts.length === 2, H)
  expect(steps(world.times())).toEqual([90])
})

it('ends an attempt after fifteen seconds, also of who does not listen', async () => {
  const world = start()
  world.endpoint('ops', HANGING)
  const asking = aDelivery({ type: 'approval.requested' })
  await world.store.insert([asking])
  world.work()
  await world.clock.until(() => world.attempts.length === 2, M)
  expect(steps(world.times())).toEqual([17])
  expect((await world.store.get(asking.id))?.log[0]).toMatchObject({
    outcome: 'failed',
    durationMs: 15 * S,
    detail: 'no answer came within 15 s',
  })
})

it('takes over from a worker that died, when its lease is over', async () => {
  const world = start()
  const deliveries = Array.from({ length: 6 }, () => aDelivery({ type: 'approval.decided' }))
  await world.store.insert(deliveries)
  // Another worker had them and is no more: nobody will say what came of it.
  const lost = await world.store.claim({
    ...{ endpoint: 'ops', owner: 'worker-0', now: world.clock.now(), leaseMs: 25 * S, limit: 4 },
  })
  expect(lost).toHaveLength(4)
  world.endpoint('ops', () => DELIVERED)
  world.work('worker-1')
  world.work('worker-2')
  await world.clock.until(() => world.attempts.length === 2, 20 * S)
  await world.clock.pass(20 * S)
  expect(world.attempts).toHaveLength(2)
  await world.clock.until(() => world.attempts.length === 6, 10 * S)
  await world.clock.pass(S)
  for (const delivery of deliveries) expect(await world.statusOf(delivery)).toBe('delivered')
  expect(new Set(world.attempts.map(({ delivery }) => delivery.id)).size).toBe(6)
})

it('has 32 in flight at most, four at one endpoint, and lets nobody who hangs hold up the others', async () => {
  const world = start()
  const names = (kind: string, count: number) => Array.from({ length: count }, (_, index) => `${kind}-${index}`)
  const hanging = names('hanging', 40)
  const good = names('good', 10)
  const open = new Map<string, number>()
  let most = 0
  for (const id of hanging) world.endpoint(id, HANGING)
  for (const id of good)
    world.endpoint(id, async () => {
      open.set(id, (open.get(id) ?? 0) + 1)
      most = Math.max(most, open.get(id) ?? 0)
      await new Promise<void>((resolve) => world.clock.after(100, resolve))
      open.set(id, (open.get(id) ?? 0) - 1)
      return DELIVERED
    })
  await world.store.insert(
    [...hanging, ...good].flatMap((endpoint) =>
      Array.from({ length: 20 }, () => aDelivery({ endpoint, type: 'approval.decided' })),
    ),
  )
  world.work()
  const arrived = () => world.attempts.filter(({ delivery: { endpoint } }) => good.includes(endpoint)).length
  // 200 of 100 ms, 16 at a time and more, is less than two seconds; whoever hangs takes fifteen.
  await world.clock.until(() => arrived() === 200, 5 * S)
  expect(world.inFlight.most).toBeLessThanOrEqual(32)
  expect(most).toBe(4)
}, 30_000)

it('gives a new one that works its turn within the time of one attempt, however many hang before it', async () => {
  const world = start()
  const hanging = Array.from({ length: 16 }, (_, index) => `a-${10 + index}`)
  for (const id of hanging) world.endpoint(id, HANGING)
  world.endpoint('z', () => DELIVERED)
  const of = (endpoint: string, count: number) =>
    Array.from({ length: count }, () => aDelivery({ endpoint, type: 'approval.decided' }))
  await world.store.insert(hanging.flatMap((id) => of(id, 20)))
  world.work()
  await world.clock.until(() => world.attempts.length === 16, S)
  await world.store.insert(of('z', 50))
  const arrived = () => world.attempts.filter(({ delivery: { endpoint } }) => endpoint === 'z').length
  await world.clock.until(() => arrived() === 50, 17 * S)
})

it('leaves the callbacks of agents four attempts at a time, and keeps no health of them', async () => {
  const world = start()
  const hosts = Array.from({ length: 20 }, (_, index) => `callback:host-${index}`)
  const hanging: Attempt = (_delivery, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('too late'))))
  for (const id of hosts) world.endpoint(id, hanging, { canBeDisabled: false })
  world.endpoint('z', () => DELIVERED)
  await world.store.insert([...hosts, 'z'].map((endpoint) => aDelivery({ endpoint, type: 'approval.decided' })))
  world.work()
  await world.clock.pass(M)
  expect(world.inFlight.most).toBe(5)
  expect(world.attempts.length).toBeGreaterThan(16)
  expect((await world.webhooks.health()).map(({ endpoint }) => endpoint)).toEqual(['z'])
})

it('does not disable an endpoint for failing again days later, when nothing was tried in between', async () => {
  const world = start()
  world.endpoint('ops', () => FAILED)
  const fail = async () => {
    const asking = aDelivery({ createdAt: world.clock.now(), dueAt: world.clock.now() })
    const before = world.attempts.length
    await world.store.insert([asking])
    await world.clock.until(() => world.attempts.length > before, M)
    await world.clock.pass(100)
    await world.store.stop({ approvalId: asking.approvalId ?? '', types: [asking.type], at: world.clock.now() })
  }
  world.work()
  await fail()
  world.clock.leap(30 * 24 * H)
  await fail()
  expect(world.disabled).toEqual([])
  expect((await world.webhooks.health())[0]?.failingSince).toBeGreaterThan(CREATED_AT + 29 * 24 * H)
})

it('disables an endpoint that fails for five days, once, and keeps what waits until it is open again', async () => {
  const world = start()
  let answer: AttemptOutcome = FAILED
  world.endpoint('ops', () => answer)
  const tell = () => aDelivery({ type: 'approval.decided', createdAt: world.clock.now(), dueAt: world.clock.now() })
  world.work()
  for (let day = 0; day < 5; day++) {
    await world.store.insert([tell()])
    const before = world.attempts.length
    await world.clock.until(() => world.attempts.length > before, H)
    expect(world.disabled).toEqual([])
    // Nothing is looked at in the meantime but by this clock: a day at once.
    await world.clock.pass(100)
    world.clock.leap(24 * H)
  }
  const last = tell()
  await world.store.insert([last])
  await world.clock.until(() => world.disabled.length > 0, H)
  expect(world.disabled).toEqual(['ops failing'])
  const [health] = await world.webhooks.health()
  expect(health).toMatchObject({ endpoint: 'ops', disabled: { reason: 'failing' } })

  world.endpoint('ops', () => answer, { isOpen: false })
  const before = world.attempts.length
  await world.clock.pass(10 * M)
  expect(world.attempts.length).toBe(before)
  expect(await world.statusOf(last)).toBe('waiting')
  answer = DELIVERED
  await world.webhooks.enable('ops')
  world.endpoint('ops', () => answer)
  await world.clock.pass(M)
  expect(await world.statusOf(last)).toBe('delivered')
}, 60_000)

it('disables one that is gone at once, and gives up what it was tried with', async () => {
  const world = start()
  world.endpoint('ops', () => ({ type: 'gone', detail: 'it answered with the status 410', status: 410 }))
  const telling = aDelivery({ type: 'approval.decided' })
  await world.store.insert([telling])
  world.work()
  await world.clock.until(() => world.disabled.length > 0, M)
  expect(world.disabled).toEqual(['ops gone'])
  expect(await world.statusOf(telling)).toBe('dead')
})

it('disables no channel', async () => {
  const world = start()
  world.endpoint('mail', () => ({ type: 'gone', detail: 'nobody lives there' }), { canBeDisabled: false })
  const telling = aDelivery({ endpoint: 'mail', type: 'approval.decided' })
  await world.store.insert([telling])
  world.work()
  await world.clock.until(() => world.attempts.length > 0, M)
  await world.clock.pass(S)
  expect(world.disabled).toEqual([])
  expect(await world.statusOf(telling)).toBe('dead')
})

it('gives up at its end what does not come to an end, to be tried again at once by the next', async () => {
  const world = start()
  let signal: AbortSignal | undefined
  world.endpoint('ops', (_delivery, its) => {
    signal = its
    return world.attempts.length === 1 ? HANGING() : DELIVERED
  })
  const asking = aDelivery({ type: 'approval.requested' })
  await world.store.insert([asking])
  const worker = world.work()
  await world.clock.until(() => world.attempts.length === 1, S)
  const closing = worker.close()
  await world.clock.pass(2 * S)
  await closing
  expect(signal?.aborted).toBe(true)
  expect(await world.store.get(asking.id)).toMatchObject({ status: 'waiting', owner: null, log: [] })
  world.work('worker-2')
  await world.clock.until(() => world.attempts.length === 2, S)
})
