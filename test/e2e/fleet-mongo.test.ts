import { afterAll, describe, expect, test } from 'vitest'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { type Mongod, startMongod } from '../support/backends/mongo.ts'
import { createFleet, expectAllowed, hold } from '../support/fleet.ts'
import { expectSoundHistory } from '../support/history.ts'

const OUTAGE_MS = 20_000

async function findMongod() {
  const kafka = await findBackend('kafka')
  if ('reason' in kafka) return kafka
  const mongod: Mongod | { reason: string } = await startMongod().catch((error) => ({ reason: String(error) }))
  return 'reason' in mongod ? mongod : { mongod, kafka }
}

await withBackend('a fleet whose MongoDB fails', findMongod, ({ mongod, kafka }) => {
  describe('MongoDB goes away', { timeout: 120_000 }, () => {
    afterAll(() => mongod.stop())

    test('for 20 s with calls held: decisions get 503 meanwhile and work afterwards; nothing is lost', async () => {
      const fleet = await createFleet(kafka, mongod)
      const decider = await fleet.start('decider')
      const { url } = await fleet.start('gate')
      const [agent, admin] = [fleet.agent(url), fleet.admin(decider.url)]
      const held = await hold(agent, admin, 6)
      await mongod.kill()
      const since = performance.now()
      const asked = agent.ask('stripe.refund', { asked: 'meanwhile' }, { headers: { 'idempotency-key': 'meanwhile' } })
      while (performance.now() - since < OUTAGE_MS) {
        const answer = await admin.decide(held[0]!.id, 'approve')
        expect(answer).toMatchObject({ status: 503, body: { code: 'decider_unavailable', retryable: true } })
        // A refusal may be quick: the next attempt waits for the process to say so again.
        await expect.poll(async () => (await fetch(`${decider.url}/readyz`)).status, { interval: 500 }).toBe(503)
      }
      await mongod.restart()
      await expect.poll(async () => (await fetch(`${decider.url}/readyz`)).status, { timeout: 20_000 }).toBe(200)
      for (const { id } of held) expect((await admin.decide(id, 'approve')).status).toBe(200)
      await expectAllowed(held)
      const [late] = await admin.pending()
      await admin.decide(late?.id ?? '', 'approve')
      expect((await asked).body).toMatchObject({ effect: 'allow', approvalId: late?.id })
      expect(await fleet.records()).toHaveLength(7)
      await expectSoundHistory(fleet)
    })
  })
})
