import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { avroCodec } from '../../lib/adapters/avro/event-codec.ts'
import { type ApprovalDecide, Topic } from '../../lib/core/events.ts'
import { approvalIdForKey } from '../../lib/core/ids.ts'
import { startRegistry } from '../integration/kafka/registry-server.ts'
import { withBackend } from '../support/backends/backend.ts'
import { findPython } from '../support/backends/python.ts'
import { runExample } from '../support/example.ts'
import { createFleet, type Fleet, findEngines, fleetOfSuite } from '../support/fleet.ts'
import type { Caller } from '../support/server.ts'
import type { LoggedMessage } from '../support/topic-log.ts'

const REQUIREMENTS = fileURLToPath(new URL('../../examples/python/requirements.txt', import.meta.url))
const codec = avroCodec()
const later = { headers: { prefer: 'respond-async' } }
const ALLOWED = { env: { DECIDE: 'allowed' } }

async function start(fleet: Fleet) {
  const decider = await fleet.start('decider', ALLOWED)
  const gate = await fleet.start('gate')
  return { fleet, decider, agent: fleet.agent(gate.url), admin: fleet.admin(decider.url) }
}

/** A message of a system that is not ours; the ids of its commands are its own. */
function command(id: string, more: Partial<ApprovalDecide> & { commandId: string }): Omit<LoggedMessage, 'event'> {
  const at = Date.now()
  const actor = { id: 'fraud-engine', name: 'fraud-engine', type: 'system', via: 'topic' } as const
  const asked = { id, tenant: 'default', decision: 'approve', actor, reason: null, edits: null, at } as const
  const event = { topic: Topic.decide, eventId: more.commandId, at, data: { ...asked, ...more } }
  const { value, headers } = codec.encode(event, 'fraud-engine')
  return { topic: Topic.decide, partition: 0, key: id, value: Buffer.from(value), headers }
}

const actorNamed = (name: string) => ({ id: name, name, type: 'user', via: 'http' }) as const

async function metricsFor({ url, secret }: Caller): Promise<string> {
  return (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${secret}` } })).text()
}

await withBackend('other systems on the topics', findEngines, (engines) => {
  describe('other systems on the topics', async () => {
    const running = fleetOfSuite(engines, start)
    const environment = (fleet: Fleet) => ({ KAFKA_BROKERS: engines.kafka.url, TOPIC_PREFIX: fleet.prefix })

    async function asked(tool: string, args: unknown = {}): Promise<string> {
      const { agent, admin } = running()
      const { body } = await agent.ask(tool, args, later)
      const id = body.approvalId ?? ''
      await admin.recordThat(id, () => true)
      return id
    }

    /** Puts these on the topic, one after the other, and resolves when they are handled. */
    async function send(...commands: Omit<LoggedMessage, 'event'>[]): Promise<void> {
      const { fleet } = running()
      await fleet.log.append(commands)
      await fleet.log.consumed()
    }

    /** Small refunds are approved, large ones denied, and the rest left to a person. */
    async function expectDecisionsOf(approver: ReturnType<typeof runExample>, name: string): Promise<string> {
      const { agent, admin } = running()
      await approver.prints('watching')
      const small = await agent.ask('stripe.refund', { amount: 20, by: name })
      expect(small).toMatchObject({ status: 200, body: { effect: 'allow', reason: 'a small refund' } })
      const id = small.body.approvalId ?? ''
      const [by] = (await admin.record(id)).decidedBy
      expect(by).toEqual({ id: name, name, type: 'system', via: 'topic' })
      await agent.report(small.body, 'executed')

      const large = await agent.ask('stripe.refund', { amount: 5000, by: name })
      expect(large).toMatchObject({ status: 403, body: { code: 'approval_denied', reason: 'too large for an agent' } })

      const held = agent.ask('stripe.refund', { amount: 500, by: name })
      const [middle] = await admin.pending()
      await approver.prints(`left     ${middle?.id}`)
      await admin.decide(middle?.id ?? '', 'approve')
      expect((await held).body).toMatchObject({ effect: 'allow', decidedBy: [{ name: 'owner' }] })
      return id
    }

    await withBackend(
      'Python on the topics',
      () => findPython(REQUIREMENTS),
      (python) => {
        test('a Python program decides, and another reads every event of every topic as we do', async () => {
          const { fleet, admin } = running()
          const env = { ...python.env, ...environment(fleet) }
          const watcher = runExample(python.command, 'python/watch.py', env)
          const approver = runExample(python.command, 'python/approver.py', env)
          const ids = [await expectDecisionsOf(approver, 'refund-desk'), await asked('rising.x')]
          await admin.recordThat(ids[1] ?? '', ({ status }) => status === 'expired')
          await fleet.log.consumed()

          const events = (await fleet.log.read()).flatMap(({ event }) => event ?? [])
          expect(new Set(events.filter(({ data }) => ids.includes(data.id)).map(({ topic }) => topic))).toEqual(
            new Set(Object.values(Topic)),
          )
          const read = () =>
            watcher
              .output()
              .split('\n')
              .flatMap((line) => (line.endsWith('}') ? [JSON.parse(line, inMillis)] : []))
          await vi.waitFor(() => expect(read().length).toBeGreaterThanOrEqual(events.length), 20_000)
          for (const { topic, eventId, data } of events)
            expect(read().find((each) => each.topic === topic && each.id === eventId)?.data).toEqual(data)
          expect(watcher.output()).not.toContain('skipped')
        })
      },
    )

    test('a program on Node decides', async () => {
      const approver = runExample(process.execPath, 'kafka-approver.mjs', environment(running().fleet))
      await expectDecisionsOf(approver, 'refund-bot')
      approver.child.kill('SIGTERM')
      expect(await approver.exited).toBe(0)
    })

    test('the first decision stands: the same again and the opposite change nothing; a cancel withdraws', async () => {
      const { admin } = running()
      const id = await asked('kept.x', { n: 1 })
      const approve = command(id, { commandId: 'c1', edits: '{"n":2}', reason: 'fine' })
      await send(approve)
      const approved = await admin.record(id)
      expect(approved).toMatchObject({ status: 'approved', edited: true, reason: 'fine' })
      await send(
        approve,
        command(id, { commandId: 'c2', decision: 'deny' }),
        command(id, { commandId: 'c3', decision: 'cancel' }),
      )
      expect(await admin.record(id)).toEqual(approved)

      const other = await asked('kept.x', { n: 2 })
      await send(command(other, { commandId: 'c4', decision: 'cancel', reason: 'a mistake' }))
      expect(await admin.record(other)).toMatchObject({
        status: 'cancelled',
        reason: 'a mistake',
        decidedBy: [],
        history: [
          { type: 'requested' },
          { type: 'cancelled', by: { name: 'fraud-engine', type: 'system', via: 'topic' } },
        ],
      })
    })

    test('what a rule demands of approvers holds: named ones are not met, the topic is one voter, a reason is a reason', async () => {
      const { admin } = running()
      const finance = await asked('finance.pay')
      const two = await asked('two.people')
      const reason = await asked('with.reason')
      await send(
        command(finance, { commandId: 'f1', actor: actorNamed('group:finance') }),
        command(finance, { commandId: 'f2', actor: actorNamed('owner') }),
        command(two, { commandId: 't1', actor: actorNamed('first') }),
        command(two, { commandId: 't2', actor: actorNamed('second') }),
        command(two, { commandId: 't3', actor: actorNamed('owner') }),
        command(reason, { commandId: 'r1', decision: 'deny' }),
      )
      expect(await admin.record(finance)).toMatchObject({ status: 'pending', votes: [], version: 1 })
      expect(await admin.record(reason)).toMatchObject({ status: 'pending', votes: [], version: 1 })
      expect(await admin.record(two)).toMatchObject({ status: 'pending', votes: [{ by: { name: 'first' } }] })
      await admin.decide(two, 'approve')
      expect(await admin.record(two)).toMatchObject({
        status: 'approved',
        decidedBy: [{ name: 'first' }, { name: 'owner' }],
      })
      await send(command(reason, { commandId: 'r2', decision: 'deny', reason: 'not today' }))
      expect(await admin.record(reason)).toMatchObject({ status: 'denied', reason: 'not today' })
      const metrics = await metricsFor(admin)
      expect(metrics).toMatch(/countersign_commands_total\{result="not_an_approver"\} 2\n/)
      expect(metrics).toMatch(/countersign_commands_total\{result="reason_required"\} 1\n/)
    })

    test('what can never be carried out goes to the dead letters with its cause, and stops nothing', async () => {
      const { fleet, admin } = running()
      const id = await asked('kept.x', { n: 3 })
      const wrong: [string, Partial<ApprovalDecide>, RegExp][] = [
        ['d1', { edits: '{"n":' }, /^edits must be a JSON object/],
        ['d2', { edits: '[1]' }, /^edits must be a JSON object/],
        ['d3', { edits: '{}', decision: 'cancel' }, /^edits go with an approval only/],
        ['d4', { id: 'apr_1' }, /^id is no approval id/],
        ['d5', { actor: { ...actorNamed('x'), name: 'a\u0000b' } }, /^actor.name must have/],
        ['d6', { actor: { ...actorNamed('x'), id: ' ' } }, /^actor.id must have/],
        ['d7', { reason: 'x'.repeat(2001) }, /^reason has more than 2000/],
        ['d8', { tenant: 'other' }, /^There is no such approval/],
        ['d9', { id: approvalIdForKey('default', 'nobody', 'never') }, /^There is no such approval/],
      ]
      const good = command(id, { commandId: 'd0', decision: 'deny' })
      await send(...wrong.map(([commandId, more]) => command(id, { commandId, ...more })), good)
      const letters = await fleet.log.read(['approval.decide.dlq'])
      expect(
        letters.map(({ headers: { ce_id, dlq_cause, dlq_consumer } }) => [ce_id, dlq_cause, dlq_consumer]),
      ).toEqual(
        expect.arrayContaining(
          wrong.map(([commandId, , cause]) => [commandId, expect.stringMatching(cause), 'decider.commands']),
        ),
      )
      expect(letters).toHaveLength(wrong.length)
      const record = await admin.record(id)
      expect(record).toMatchObject({ status: 'denied', version: 2 })
    })
  })

  test('with a schema registry, commands in its format and in single-object encoding are carried out', async () => {
    const registry = await startRegistry()
    const fleet = await createFleet(engines.kafka, engines.mongo)
    const env = { KAFKA_SCHEMA_REGISTRY_URL: registry.url }
    const decider = await fleet.start('decider', { env: { ...env, ...ALLOWED.env } })
    const gate = await fleet.start('gate', { env })
    const [schemaId = 0] = registry.subjects.get(`${fleet.prefix}approval.decide-value`)?.ids ?? []
    const admin = fleet.admin(decider.url)
    const agent = fleet.agent(gate.url)
    const held = [1, 2].map((n) => agent.ask('stripe.refund', { n }))
    const [one, two] = (await admin.pending(2)).map(({ id }) => id)
    const plain = command(one ?? '', { commandId: 'p1' })
    const registered = command(two ?? '', { commandId: 'p2' })
    const prefix = Buffer.from([0, 0, 0, 0, schemaId])
    const value = Buffer.concat([prefix, (registered.value ?? Buffer.of()).subarray(10)])
    await fleet.log.append([plain, { ...registered, value }])
    expect((await Promise.all(held)).map(({ body }) => [body.effect, body.decidedBy?.[0]?.name])).toEqual([
      ['allow', 'fraud-engine'],
      ['allow', 'fraud-engine'],
    ])
  })

  test('where the configuration does not allow it, a command changes nothing, and is logged and counted', async () => {
    const fleet = await createFleet(engines.kafka, engines.mongo)
    const decider = await fleet.start('decider')
    const gate = await fleet.start('gate')
    const admin = fleet.admin(decider.url)
    const { body } = await fleet.agent(gate.url).ask('kept.x', {}, later)
    const id = body.approvalId ?? ''
    const before = await admin.recordThat(id, () => true)
    await fleet.log.append([command(id, { commandId: 'c1' }), command(id, { commandId: 'c2', decision: 'cancel' })])
    await fleet.log.consumed()
    expect(await admin.record(id)).toEqual(before)
    expect(decider.stderr()).toContain('topics.decide is not allowed')
    const metrics = await metricsFor(admin)
    expect(metrics).toMatch(/countersign_commands_total\{result="not_allowed"\} 2\n/)
  })
})

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/

/** Python writes instants as text; ours are milliseconds. */
const inMillis = (_key: string, value: unknown): unknown =>
  typeof value === 'string' && INSTANT.test(value) ? Date.parse(value) : value
