import { describe, expect, test } from 'vitest'
import { withBackend } from '../support/backends/backend.ts'
import { type Fleet, findEngines, fleetOfSuite } from '../support/fleet.ts'
import { expectSoundHistory } from '../support/history.ts'
import type { Answer } from '../support/server.ts'
import { switchboard } from '../support/switchboard.ts'

const later = { headers: { prefer: 'respond-async' } }

/** Two gates, and deciders behind one address. */
async function start(fleet: Fleet) {
  const deciders = await switchboard()
  const first = await fleet.start('decider')
  deciders.choose(first.url)
  const startGate = (name: string) =>
    fleet.start('gate', { env: { COUNTERSIGN_DECIDER_URL: deciders.url, COUNTERSIGN_GATE_NAME: name } })
  const gates = await Promise.all([startGate('gate-1'), startGate('gate-2')])
  const agents = gates.map(({ url }) => fleet.agent(url))
  return { fleet, deciders, first, agents, admin: fleet.admin(deciders.url) }
}

/** Calls until the answer is no outage; a connection that is cut is one too. */
async function persistently<T>(call: () => Promise<Answer<T>>): Promise<Answer<T>> {
  for (;;) {
    const answer = await call().catch(() => undefined)
    if (answer && answer.status < 500) return answer
  }
}

await withBackend('several of each service', findEngines, (engines) => {
  describe('several of each service', () => {
    const running = fleetOfSuite(engines, start)

    async function approved(tool: string, args: Record<string, unknown>): Promise<string> {
      const { agents, admin } = running()
      const { body } = await agents[0]!.ask(tool, args, later)
      await admin.recordThat(body.approvalId ?? '', () => true)
      expect((await admin.decide(body.approvalId ?? '', 'approve')).status).toBe(200)
      return body.approvalId ?? ''
    }

    test('the same Idempotency-Key at both gates: one approval, one use, and the same answer for both', async () => {
      const { fleet, agents, admin } = running()
      const keyed = { headers: { 'idempotency-key': 'shared' } }
      const held = agents.map((agent) => agent.ask('stripe.refund', { shared: true }, keyed))
      const [record] = await admin.pending()
      await admin.decide(record?.id ?? '', 'approve')
      const answers = await Promise.all(held)
      expect(answers.map(({ status, body }) => [status, body.approvalId, body.use])).toEqual([
        [200, record?.id, 1],
        [200, record?.id, 1],
      ])
      expect(answers.filter(({ body }) => body.replayed)).toHaveLength(1)
      expect(await fleet.records()).toHaveLength(1)
      await expectSoundHistory(fleet)
    })

    test('the same call twenty times over both gates after one approval: one goes ahead', async () => {
      const { fleet, agents, admin } = running()
      const id = await approved('stripe.refund', { amount: 7 })
      const asks = Array.from({ length: 20 }, (_, n) => agents[n % 2]!.ask('stripe.refund', { amount: 7 }, later))
      const answers = await Promise.all(asks)
      const ahead = answers.filter(({ body }) => body.effect === 'allow')
      expect(ahead.map(({ body }) => [body.approvalId, body.use])).toEqual([[id, 1]])
      // The others ask anew, and join what the others of their gate asked.
      const others = answers.filter(({ status }) => status === 202)
      expect(others).toHaveLength(19)
      for (const other of new Set(others.map(({ body }) => body.approvalId ?? ''))) {
        expect(other).not.toBe(id)
        await admin.recordThat(other, () => true)
        await admin.decide(other, 'deny')
      }
      await expectSoundHistory(fleet)
    })

    test('a second decider comes and the first goes in the middle of a burst: nothing is lost and nothing runs twice', async () => {
      const { fleet, deciders, first, agents, admin } = running()
      let isOver = false
      let cycles = 0
      async function cycle(): Promise<void> {
        const n = ++cycles
        const agent = agents[n % 2]!
        const headers = { 'idempotency-key': `burst-${n}` }
        const asked = await persistently(() =>
          agent.ask('stripe.refund', { burst: n }, { headers: { ...headers, ...later.headers } }),
        )
        const id = asked.body.approvalId ?? ''
        expect(asked.status).toBe(202)
        while ((await persistently(() => admin.decide(id, 'approve'))).status === 404);
        const answer = await persistently(() => agent.ask('stripe.refund', { burst: n }, { headers }))
        expect(answer.body).toMatchObject({ effect: 'allow', approvalId: id, use: 1 })
        const report = await persistently(() => agent.report(answer.body, 'executed'))
        expect(report.status).toBeLessThan(300)
      }
      const burst = Promise.all(
        [1, 2].map(async () => {
          while (!isOver) await cycle()
        }),
      )
      const second = await fleet.start('decider')
      deciders.choose(second.url)
      expect(await first.end('SIGTERM')).toBe(0)
      const atTheEnd = cycles
      await expect.poll(() => cycles, { timeout: 30_000 }).toBeGreaterThan(atTheEnd + 10)
      isOver = true
      await burst

      const burstRecords = (await fleet.records()).filter(({ action }) => action.preview.includes('"burst"'))
      expect(burstRecords).toHaveLength(cycles)
      await fleet.log.consumed()
      await expectSoundHistory(fleet)
      expect(new Set((await fleet.records()).map(({ status }) => status))).toEqual(
        new Set(['settled', 'claimed', 'denied']),
      )
    })

    test('two deciders sweep the same overdue requests: one outcome and one event for each', async () => {
      const { fleet, agents, admin } = running()
      await fleet.start('decider')
      const asks = Array.from({ length: 60 }, (_, n) => agents[n % 2]!.ask('quick.sweep', { n }, later))
      const ids = (await Promise.all(asks)).map(({ body }) => body.approvalId ?? '')
      for (const id of ids) {
        const { history } = await admin.recordThat(id, ({ status }) => status === 'expired')
        // A warning comes before the end, unless the sweepers were late.
        const steps = history?.map(({ type }) => type).filter((type) => type !== 'warned')
        expect(steps).toEqual(['requested', 'expired'])
      }
      await expectSoundHistory(fleet)
    })

    test('two deciders escalate the same requests once each, and the calls that both gates hold wait on for the word', async () => {
      const { fleet, agents, admin } = running()
      const held = Array.from({ length: 10 }, (_, n) => agents[n % 2]!.ask('rising.call', { n }))
      const asked = await admin.pending(10)
      for (const { id } of asked) {
        const escalated = await admin.recordThat(id, (record) => record.escalated !== undefined)
        expect(escalated).toMatchObject({ status: 'pending', approvers: ['nobody', 'owner'] })
        expect((await admin.decide(id, 'approve')).status).toBe(200)
      }
      const answers = await Promise.all(held)
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
      await fleet.log.consumed()
      await expectSoundHistory(fleet)
    })
  })
})
