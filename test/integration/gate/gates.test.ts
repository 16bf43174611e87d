import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { uuidv7obj } from 'uuidv7'
import { expect, onTestFinished, test } from 'vitest'
import { avroCodec } from '../../../lib/adapters/avro/event-codec.ts'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { createKeyStore } from '../../../lib/adapters/sqlite/key-store.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { KEYS_SCHEMA, MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { DomainEvent } from '../../../lib/core/events.ts'
import { Topic } from '../../../lib/core/events.ts'
import { approvalIdFrom } from '../../../lib/core/ids.ts'
import { compilePolicy } from '../../../lib/core/policy/compile.ts'
import { parsePolicy } from '../../../lib/core/policy/parse.ts'
import type { Bus } from '../../../lib/ports/bus.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { ClaimRequest, Decider } from '../../../lib/ports/decider.ts'
import type { Role } from '../../../lib/ports/key-store.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { loadConfig } from '../../../lib/runtime/config.ts'
import { Directory } from '../../../lib/runtime/directory.ts'
import { createHttpApp } from '../../../lib/runtime/http-app.ts'
import { hashSecret, newKeyId, newSecret } from '../../../lib/runtime/keys.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { createDecider } from '../../../services/decider/app.ts'
import { createGate } from '../../../services/gate/app.ts'
import { Caller, POLICY } from '../../support/server.ts'

/** What stands between the gates and the rest, and can be made to fail. */
interface Faults {
  bus?: (bus: Bus) => Bus
  decider?: (decider: Decider) => Decider
  clock?: Clock
  /** Told of each connection to a gate that has gone. */
  left?: () => void
}

/** One decider and several gates over one log and store, each on a port of its own. */
async function startFleet(gates: number, faults: Faults = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-fleet-'))
  const clock = systemClock
  const log = createLogger('silent')
  const db = openDatabase(join(dir, 'countersign.db'), MAIN_SCHEMA)
  const keysDb = openDatabase(join(dir, 'keys.db'), KEYS_SCHEMA)
  const groupCommit = createGroupCommit(db)
  const bus = createLogBus({ db, groupCommit, codec: avroCodec(), clock, source: 'test' })
  const store = createApprovalStore({ db, groupCommit })
  const keys = createKeyStore({ db: keysDb, clock })
  const config = loadConfig({ file: join(dir, 'none.yaml'), env: {} })
  const directory = new Directory(config, keys, clock)
  const metrics = createMetrics()
  const service = createDecider({
    ...{ store, bus, clock, log, metrics, directory },
    decideTopic: 'allowed',
    retentionMs: config.retention.approvalsMs,
  })
  await service.start()
  const parsed = parsePolicy(POLICY)
  if (!parsed.ok) throw new Error('the policy of the tests is not valid')
  const policy = compilePolicy(parsed.policy)

  const closers: (() => Promise<void>)[] = []
  async function serve(routes: import('fastify').FastifyPluginAsync) {
    const app = await createHttpApp({ identity: directory, log, metrics: createMetrics() })
    await app.register(routes)
    if (routes !== service.routes) app.server.on('connection', (socket) => socket.once('close', () => faults.left?.()))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    closers.push(() => app.close())
    return url
  }
  const deciderUrl = await serve(service.routes)
  const gateUrls: string[] = []
  for (let index = 0; index < gates; index++) {
    const gate = createGate({
      bus: faults.bus?.(bus) ?? bus,
      decider: faults.decider?.(service.decider) ?? service.decider,
      clock: faults.clock ?? clock,
      ...{
        log,
        metrics: createMetrics(),
        policy: () => policy,
        name: `gate-${index}`,
        config: config.gate,
        upstreams: [],
      },
      evaluatorOf: () => {
        throw new Error('the policy of the tests names no evaluator')
      },
      newApprovalId: () => approvalIdFrom(uuidv7obj().bytes),
      mcp: { servers: [], sessionKey: new Uint8Array(32) },
      upstreams: [],
      callbackHosts: ['agents.example.com'],
    })
    await gate.start()
    closers.push(() => gate.close())
    gateUrls.push(await serve(gate.routes))
  }
  onTestFinished(async () => {
    for (const close of closers.toReversed()) await close()
    await service.close()
    await bus.close()
    await store.close()
    await keys.close()
    db.close()
    keysDb.close()
    rmSync(dir, { recursive: true, force: true })
  })

  async function secretOf(name: string, role: Role) {
    const secret = newSecret(role)
    const key = { name, role, tenant: 'default', groups: [], email: null, createdAt: 0 }
    await keys.insert({ ...key, id: newKeyId(), hash: hashSecret(secret) })
    return secret
  }
  const agentKey = await secretOf('agent', 'agent')
  return {
    bus,
    agents: gateUrls.map((url) => new Caller(url, agentKey, 'agent')),
    admin: new Caller(deciderUrl, await secretOf('owner', 'admin'), 'owner'),
    service: new Caller(deciderUrl, await secretOf('gate', 'service'), 'gate'),
  }
}

/** Timers that run a hundred times faster, so that a look every 15 s and a deadline of seconds come at once. */
const hasty: Clock = { now: systemClock.now, after: (ms, callback) => systemClock.after(ms / 100, callback) }

/** A bus whose decisions never arrive. */
const deaf = (bus: Bus): Bus => ({
  broadcast: async () => ({ close: async () => {} }),
  publish: (events) => bus.publish(events),
  isReady: () => bus.isReady(),
  close: () => bus.close(),
  subscribe: (options) => bus.subscribe(options),
})

/** A decider that cannot be reached while the outage is on. */
const awayDuring =
  (outage: { isOn: boolean }) =>
  (decider: Decider): Decider =>
    new Proxy(decider, {
      get: (target, name, receiver) =>
        outage.isOn
          ? () => Promise.reject(new CountersignError('decider_unavailable'))
          : Reflect.get(target, name, receiver),
    })

const keyed = { headers: { 'idempotency-key': 'k' } }
const later = { headers: { prefer: 'respond-async' } }

test('a decision made elsewhere resumes the call on the gate that holds it, within a second', async () => {
  const { agents, admin } = await startFleet(2)
  const answers = agents.map((agent, n) => agent.ask('stripe.refund', { amount: n }))
  const records = await admin.pending(2)
  const decidedAt = Date.now()
  for (const { id } of records) await admin.decide(id, 'approve')
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200])
  expect(Date.now() - decidedAt).toBeLessThan(1_000)
})

test('an agent that leaves while its approval is claimed gives the use back, and its retry has it', async () => {
  const left = new AbortController()
  let notice = () => {}
  const noticed = new Promise<void>((resolve) => {
    notice = resolve
  })
  const { agents, admin } = await startFleet(1, {
    left: () => notice(),
    decider: (decider) =>
      new Proxy(decider, {
        get: (target, name, receiver) =>
          name === 'claim' && !left.signal.aborted
            ? async (request: ClaimRequest) => {
                const result = await target.claim(request)
                if (result.outcome === 'claimed') {
                  left.abort()
                  await noticed
                }
                return result
              }
            : Reflect.get(target, name, receiver),
      }),
  })
  const [agent] = agents as [Caller]
  const gone = agent.ask('stripe.refund', { amount: 1 }, { signal: left.signal })
  const [record] = await admin.pending()
  await admin.decide(record!.id, 'approve')
  await expect(gone).rejects.toThrow('aborted')
  await admin.recordThat(record!.id, ({ status, version }) => status === 'approved' && version === 4)
  expect(await agent.ask('stripe.refund', { amount: 1 })).toMatchObject({
    status: 200,
    body: { approvalId: record!.id, use: 2 },
  })
})

test('a retry that reaches another gate joins the same approval, by fingerprint and by key', async () => {
  const { agents, admin } = await startFleet(2)
  const [one, two] = agents as [Caller, Caller]
  const first = one.ask('kept.x', { n: 1 })
  const [record] = await admin.pending()
  const second = two.ask('kept.x', { n: 1 })
  await admin.recordThat(record!.id, ({ version }) => version === 2)
  const keyedFirst = one.ask('kept.keyed', {}, keyed)
  const keyedSecond = two.ask('kept.keyed', {}, keyed)
  const pending = await admin.pending(2)
  expect(pending).toHaveLength(2)
  for (const { id } of pending) await admin.decide(id, 'approve')
  const [a, b] = await Promise.all([first, second])
  expect([a.status, b.status].sort()).toEqual([200, 409])
  const both = await Promise.all([keyedFirst, keyedSecond])
  expect(both.map(({ status }) => status)).toEqual([200, 200])
  expect(both.filter(({ body }) => body.replayed)).toHaveLength(1)
})

test('the same event delivered twice resumes once', async () => {
  const { bus, agents, admin } = await startFleet(1)
  const [agent] = agents as [Caller]
  const decided: DomainEvent[] = []
  const watching = await bus.broadcast({
    topics: [Topic.decided],
    handler: (batch) => {
      decided.push(...batch)
    },
  })
  const answer = agent.ask('kept.x')
  const [record] = await admin.pending()
  await admin.decide(record!.id, 'approve')
  expect((await answer).status).toBe(200)
  await bus.publish(decided.map(({ topic, eventId, at, data }) => ({ topic, eventId, at, data }) as DomainEvent))
  const next = agent.ask('kept.x')
  await admin.pending()
  expect((await admin.record(record!.id)).history?.filter(({ type }) => type === 'claimed')).toHaveLength(1)
  await admin.decide((await admin.pending())[0]!.id, 'deny')
  expect((await next).body.code).toBe('approval_denied')
  await watching.close()
})

test('a decision that the bus lost is read from the record', async () => {
  const { agents, admin } = await startFleet(1, { bus: deaf, clock: hasty })
  const [agent] = agents as [Caller]
  const answers = [agent.ask('stripe.refund', { amount: 1 }), agent.ask('stripe.refund', { amount: 2 })]
  const [first, second] = (await admin.pending(2)).sort((a, b) => a.action.preview.localeCompare(b.action.preview))
  await admin.decide(first!.id, 'approve')
  await admin.decide(second!.id, 'deny')
  expect((await Promise.all(answers)).map(({ body }) => body.code ?? body.effect)).toEqual(['allow', 'approval_denied'])
})

test('a bus that cannot be written refuses the call with 503; nothing is held and nothing is let through', async () => {
  const away = (bus: Bus): Bus => ({
    publish: () => Promise.reject(new CountersignError('bus_unavailable')),
    broadcast: (options) => bus.broadcast(options),
    subscribe: (options) => bus.subscribe(options),
    isReady: () => false,
    close: () => bus.close(),
  })
  const { agents, admin } = await startFleet(1, { bus: away })
  const answer = await agents[0]!.ask('kept.x')
  expect(answer).toMatchObject({ status: 503, body: { code: 'bus_unavailable', retryable: true } })
  expect(answer.headers.get('retry-after')).toBeTruthy()
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toEqual([])
})

test('a call that nobody could be asked about joins nothing: it asks when the bus is back', async () => {
  let isAway = true
  const flaky = (bus: Bus): Bus => ({
    publish: (events) => (isAway ? Promise.reject(new CountersignError('bus_unavailable')) : bus.publish(events)),
    broadcast: (options) => bus.broadcast(options),
    subscribe: (options) => bus.subscribe(options),
    isReady: () => bus.isReady(),
    close: () => bus.close(),
  })
  const { agents, admin } = await startFleet(1, { bus: flaky })
  const [agent] = agents as [Caller]
  expect((await agent.ask('kept.x', {}, later)).status).toBe(503)
  isAway = false
  const { status, body } = await agent.ask('kept.x', {}, later)
  expect([status, (await admin.pending()).map(({ id }) => id)]).toEqual([202, [body.approvalId]])
})

test('a claim that fails lets nothing through and makes no second record; the retry uses the approval', async () => {
  let isAway = false
  const flaky = (decider: Decider): Decider => ({
    ...decider,
    claim: (request) => (isAway ? Promise.reject(new CountersignError('decider_unavailable')) : decider.claim(request)),
  })
  const { agents, admin } = await startFleet(1, { decider: flaky })
  const [agent] = agents as [Caller]
  const answer = agent.ask('stripe.refund', { amount: 1 })
  const [record] = await admin.pending()
  isAway = true
  await admin.decide(record!.id, 'approve')
  expect(await answer).toMatchObject({ status: 503, body: { code: 'decider_unavailable', retryable: true } })
  expect((await agent.ask('stripe.refund', { amount: 1 })).status).toBe(503)
  isAway = false
  expect((await agent.ask('stripe.refund', { amount: 1 })).body).toMatchObject({ approvalId: record!.id })
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toHaveLength(1)
})

test('a new call is published and held while the decider is away, and resumes when it is back', async () => {
  const outage = { isOn: true }
  const { agents, admin } = await startFleet(1, { decider: awayDuring(outage) })
  const held = agents[0]!.ask('stripe.refund', { amount: 1 })
  const [record] = await admin.pending()
  outage.isOn = false
  await admin.decide(record!.id, 'approve')
  expect((await held).body).toMatchObject({ effect: 'allow', approvalId: record!.id })
})

test('while the decider is away an Idempotency-Key takes no other call, and a named approval is not asked for anew', async () => {
  const outage = { isOn: true }
  const { agents, admin } = await startFleet(1, { decider: awayDuring(outage) })
  const [agent] = agents as [Caller]
  const keyedLater = { headers: { ...keyed.headers, ...later.headers } }
  const { status, body } = await agent.ask('kept.x', { n: 1 }, keyedLater)
  expect(status).toBe(202)
  expect(await agent.ask('kept.x', { n: 2 }, keyedLater)).toMatchObject({
    status: 422,
    body: { code: 'idempotency_key_reused' },
  })
  const naming = { headers: { ...later.headers, 'countersign-approval': body.approvalId ?? '' } }
  expect(await agent.ask('kept.x', { n: 1 }, naming)).toMatchObject({
    status: 503,
    body: { code: 'decider_unavailable' },
  })
  outage.isOn = false
  await admin.pending()
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toHaveLength(1)
})

test('an approval that was used at another gate is asked for anew by the gate that asked for it', async () => {
  const { agents, admin } = await startFleet(2)
  const [one, two] = agents as [Caller, Caller]
  const id = (await one.ask('kept.x', {}, later)).body.approvalId ?? ''
  await admin.pending()
  await admin.decide(id, 'approve')
  expect((await two.ask('kept.x', {}, later)).body).toMatchObject({ effect: 'allow', approvalId: id })
  const anew = await one.ask('kept.x', {}, later)
  expect([anew.status, anew.body.approvalId]).toEqual([202, expect.not.stringMatching(id)])
})

test('a call whose request was withdrawn is asked for anew, as soon as the gate has heard of that', async () => {
  const { agents, admin } = await startFleet(1)
  const [agent] = agents as [Caller]
  const id = (await agent.ask('kept.x', {}, later)).body.approvalId ?? ''
  await admin.pending()
  expect((await agent.send('DELETE', `/v1/actions/${id}`)).status).toBeLessThan(300)
  await expect.poll(async () => (await agent.ask('kept.x', {}, later)).status, { timeout: 5_000 }).toBe(202)
})

test('a callback in a call that joins what is not on record yet is never dropped: the call is made again', async () => {
  let isLate = true
  const late = (decider: Decider): Decider => ({
    ...decider,
    claim: (request) =>
      !isLate
        ? decider.claim(request)
        : request.approvalId === null
          ? Promise.resolve({ outcome: 'none' })
          : Promise.reject(new CountersignError('approval_not_found')),
  })
  const { agents, admin } = await startFleet(1, { decider: late })
  const [agent] = agents as [Caller]
  const told = { ...later, context: { callback: 'https://agents.example.com/done' } }
  const { body } = await agent.ask('stripe.refund', { amount: 1 }, later)
  expect((await agent.ask('stripe.refund', { amount: 1 }, later)).body.approvalId).toBe(body.approvalId)
  expect(await agent.ask('stripe.refund', { amount: 1 }, told)).toMatchObject({
    status: 503,
    body: { code: 'decider_unavailable', retryable: true, approvalId: body.approvalId },
  })
  // One who asked with it waits as ever.
  const { body: own } = await agent.ask('stripe.refund', { amount: 2 }, told)
  expect(await agent.ask('stripe.refund', { amount: 2 }, told)).toMatchObject({
    status: 202,
    body: { approvalId: own.approvalId },
  })
  isLate = false
  expect(await agent.ask('stripe.refund', { amount: 1 }, told)).toMatchObject({ status: 202 })
  const record = await admin.record(body.approvalId!)
  expect(record.history?.map(({ type }) => type)).toEqual(['requested', 'joined'])
})

test('without event and record the deadline refuses the call, in words that are not «denied»', async () => {
  const { agents } = await startFleet(1, { bus: deaf, decider: awayDuring({ isOn: true }), clock: hasty })
  const refused = await agents[0]!.ask('quick.x')
  expect(refused).toMatchObject({ status: 403, body: { code: 'no_decision', retryable: true } })
  expect(refused.headers.get('countersign-retry')).toBe('true')
})

test('a decision from the topic counts where the configuration allows it, and never re-arms', async () => {
  const { bus, agents, admin } = await startFleet(1)
  const [agent] = agents as [Caller]
  const { body } = await agent.ask('kept.x', {}, later)
  const id = body.approvalId ?? ''
  const command = (commandId: string, decision: 'approve' | 'deny'): DomainEvent => ({
    topic: Topic.decide,
    eventId: commandId,
    at: Date.now(),
    data: {
      ...{ commandId, id, tenant: 'default', decision, reason: 'by rule', edits: null, at: Date.now() },
      actor: { id: 'bot', name: 'bot', type: 'system', via: 'topic' },
    },
  })
  await bus.publish([command('c1', 'deny'), command('c2', 'approve')])
  const record = await admin.recordThat(id, ({ status }) => status !== 'pending')
  const [by] = record.decidedBy
  expect([record.status, by?.name, by?.type, by?.via]).toEqual([record.status, 'bot', 'system', 'topic'])
  await bus.publish([command('c3', 'approve'), command('c4', 'deny')])
  expect(await admin.record(id)).toMatchObject({ status: record.status, version: record.version })
})

test('a service claims by id over HTTP', async () => {
  const { agents, admin, service } = await startFleet(1)
  const [agent] = agents as [Caller]
  const { body } = await agent.ask('kept.x', {}, later)
  const record = await admin.recordThat(body.approvalId ?? '', () => true)
  await admin.decide(record.id, 'approve')
  const claim = () =>
    service.send('POST', '/v1/claims', {
      body: {
        ...{ tenant: 'default', agentId: record.agent.id, approvalId: record.id, key: null, holder: 'g:1:1' },
        ...{ fingerprint: record.action.fingerprint, denialMemoryMs: 0, dedupeWindowMs: null, keep: false, gate: 'g' },
      },
    })
  expect((await claim()).body).toMatchObject({ outcome: 'claimed', approval: { id: record.id } })
  expect((await claim()).body).toMatchObject({ outcome: 'used', replay: false })
  expect((await service.send('POST', '/v1/claims', { body: { tenant: 'default' } })).status).toBe(422)
})
