import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { TOPICS } from '../../lib/core/events.ts'
import { approvalIdForKey } from '../../lib/core/ids.ts'
import { withBackend } from '../support/backends/backend.ts'
import { type Fleet, findEngines, fleetOfSuite } from '../support/fleet.ts'
import { expectSoundHistory, untilAllIsPublished } from '../support/history.ts'

const later = { headers: { prefer: 'respond-async' } }
const PARTITIONS = [0, 1]

async function start(fleet: Fleet) {
  const decider = await fleet.start('decider')
  const [gate, notifier] = await Promise.all([fleet.start('gate'), fleet.start('notifier')])
  return { fleet, decider, gate, notifier, agent: fleet.agent(gate.url), admin: fleet.admin(decider.url) }
}

await withBackend('events of a fleet', findEngines, (engines) => {
  describe('events of a fleet', () => {
    const running = fleetOfSuite(engines, start)

    /** Calls that are held, approved, let go and reported; resolves with the ids of their approvals. */
    async function calls(name: string, count: number): Promise<string[]> {
      const { agent, admin } = running()
      const held = Array.from({ length: count }, (_, n) => agent.ask('stripe.refund', { name, n }))
      for (const { id } of await admin.pending(count)) expect((await admin.decide(id, 'approve')).status).toBe(200)
      const answers = await Promise.all(held)
      expect(answers.map(({ body }) => body.effect)).toEqual(answers.map(() => 'allow'))
      for (const { body } of answers) expect((await agent.report(body, 'executed')).status).toBe(200)
      return answers.map(({ body }) => body.approvalId ?? '')
    }

    test('that come again, and in another order, change nothing and are told to nobody', async () => {
      const { fleet, notifier, agent, admin } = running()
      const stream = await fleet.admin(notifier.url).stream()
      await calls('first', 6)
      const { body: denied } = await agent.ask('kept.denied', {}, later)
      await admin.recordThat(denied.approvalId ?? '', () => true)
      await admin.decide(denied.approvalId ?? '', 'deny')
      const { body: open } = await agent.ask('kept.open', {}, later)
      await admin.recordThat(open.approvalId ?? '', () => true)
      await untilAllIsPublished(fleet)
      await stream.until(() => stream.events('settled').length === 6, 'the outcomes')

      const before = await fleet.records()
      const messages = await fleet.log.read()
      await fleet.log.append([...messages.toReversed(), ...messages])
      await fleet.log.consumed()
      expect(await fleet.records()).toEqual(before)

      // What comes after them on the same partitions was heard, and nothing before it a second time.
      await calls('second', 6)
      await stream.until(() => stream.events('settled').length >= 12, 'the later outcomes')
      const told = stream.events().map(({ event, approval }) => `${event} ${approval?.id} ${approval?.version}`)
      expect(told.filter((each, index) => told.indexOf(each) !== index)).toEqual([])
      expect(stream.events('settled')).toHaveLength(12)
      await admin.decide(open.approvalId ?? '', 'deny')
      await expectSoundHistory(fleet)
    })

    test('that nobody can read stop no partition of any topic, and those for the decider go to the dead letters', async () => {
      const { fleet } = running()
      const [sample] = await fleet.log.read(['approval.requested'])
      const headers = sample?.headers ?? {}
      const poison = TOPICS.flatMap((topic) =>
        PARTITIONS.flatMap((partition) => [
          { topic, partition, key: 'nobody', value: randomBytes(40), headers: {} },
          { topic, partition, key: 'nobody', value: randomBytes(40), headers: { ...headers, ce_type: topic } },
          { topic, partition, key: null, value: null, headers: {} },
        ]),
      )
      await fleet.log.append(poison)
      await calls('behind the poison', 8)
      await fleet.log.consumed()
      const counts = async () => {
        const letters = await fleet.log.read(TOPICS.map((topic) => `${topic}.dlq`))
        return TOPICS.map((topic) => [topic, letters.filter((letter) => letter.topic === `${topic}.dlq`).length])
      }
      // What is not for the decider is nobody's to set aside.
      await expect.poll(counts, { timeout: 20_000 }).toEqual([
        ['approval.requested', 6],
        ['approval.decide', 6],
        ['approval.decided', 0],
        ['approval.settled', 6],
        ['approval.expiring', 0],
        ['approval.escalated', 0],
      ])
      await expectSoundHistory(fleet)
    })

    test('that a decision overtakes: the decision waits for its request, and an id that nobody asked for is unknown', async () => {
      const { fleet, agent, admin } = running()
      const [{ agent: owner } = { agent: { id: '' } }] = await fleet.records()
      const unknown = await admin.decide(approvalIdForKey('default', owner.id, 'never-asked'), 'approve')
      expect([unknown.status, unknown.body.code]).toEqual([404, 'approval_not_found'])

      const id = approvalIdForKey('default', owner.id, 'overtaken')
      const decisions = [admin.decide(id, 'approve')]
      const held = agent.ask('stripe.refund', { overtaken: true }, { headers: { 'idempotency-key': 'overtaken' } })
      // One that the request did not reach in time is told so, and says it again.
      while ((await decisions.at(-1))?.status === 404) decisions.push(admin.decide(id, 'approve'))
      expect(await decisions.at(-1)).toMatchObject({ status: 200, body: { id, status: 'approved' } })
      expect((await held).body).toMatchObject({ effect: 'allow', approvalId: id })
      await expectSoundHistory(fleet)
    })

    test('that a notifier missed while it was dead are told when it is back, each once', async () => {
      const { fleet, notifier, agent, admin } = running()
      const before = await fleet.admin(notifier.url).stream()
      const asked = async (n: number) => (await agent.ask('kept.missed', { n }, later)).body.approvalId ?? ''
      const [seen, decidedMeanwhile] = [await asked(1), await asked(2)]
      await before.until(() => before.events('requested').length === 2, 'both requests')
      const { cursor } = before
      await notifier.end('SIGKILL')
      await before.until(() => before.closed !== undefined, 'the end of the stream')

      await admin.decide(decidedMeanwhile, 'deny')
      const missed = await asked(3)
      await admin.recordThat(missed, () => true)
      const again = await fleet.start('notifier', { port: new URL(notifier.url).port })
      const after = await fleet.admin(again.url).stream(cursor)
      expect(after.snapshot.map(({ id }) => id).sort()).toEqual([seen, missed].sort())
      await after.frame(({ event, approval }) => event === 'decided' && approval?.id === decidedMeanwhile)
      for (const id of [seen, missed]) await admin.decide(id, 'deny')
      await after.until(() => after.events('decided').length >= 3, 'the other decisions')
      const told = [...before.events(), ...after.events()].map(({ event, approval }) => `${event} ${approval?.id}`)
      expect(told.sort()).toEqual(
        [
          ...[seen, decidedMeanwhile].map((id) => `requested ${id}`),
          ...[seen, decidedMeanwhile, missed].map((id) => `decided ${id}`),
        ].sort(),
      )
      await expectSoundHistory(fleet)
    })

    test('that tell an outcome while the decider is away reach the record when it is back, once', async () => {
      const { fleet, decider, gate, agent, admin } = running()
      const use = async (n: number) => {
        const { body } = await agent.ask('kept.outcome', { n }, later)
        await admin.recordThat(body.approvalId ?? '', () => true)
        await admin.decide(body.approvalId ?? '', 'approve')
        return (await agent.ask('kept.outcome', { n })).body
      }
      const [executed, returned] = [await use(1), await use(2)]
      await decider.end('SIGKILL')
      const told = [
        [executed, 'executed'],
        [executed, 'executed'],
        [returned, 'not_executed'],
      ] as const
      const answers = await Promise.all(told.map(([body, outcome]) => agent.report(body, outcome)))
      expect(answers.map(({ status, body }) => [status, body])).toEqual(
        told.map(([{ approvalId }, status]) => [202, { approvalId, use: 1, status }]),
      )
      // A gate vouches for what it let go itself, and for the use that it let go.
      for (const body of [
        { approvalId: `apr_${'0'.repeat(26)}`, use: 1 },
        { ...executed, use: 2 },
      ])
        expect((await agent.report(body, 'executed')).status).toBe(503)

      await fleet.start('decider', { port: new URL(decider.url).port })
      await admin.recordThat(executed.approvalId ?? '', ({ status }) => status === 'settled')
      await admin.recordThat(returned.approvalId ?? '', ({ status }) => status === 'approved')
      const second = (await fleet.agent(gate.url).ask('kept.outcome', { n: 2 })).body
      expect(second).toMatchObject({ effect: 'allow', approvalId: returned.approvalId, use: 2 })
      // The report on the first use comes once more: it never touches the second.
      const reports = (await fleet.log.read(['approval.settled'])).filter(
        ({ event }) => event?.topic === 'approval.settled' && event.data.version === null,
      )
      await fleet.log.append(reports)
      await fleet.log.consumed()
      const record = await admin.record(returned.approvalId ?? '')
      expect(record.history?.map(({ type }) => type)).toEqual([
        'requested',
        'approved',
        'claimed',
        'returned',
        'claimed',
      ])
      expect((await agent.report(second, 'failed')).status).toBe(200)
      await expectSoundHistory(fleet)
    })
  })
})
