import { afterAll, describe, expect, test } from 'vitest'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { type Broker, startBroker } from '../support/backends/kafka.ts'
import { createFleet, expectAllowed, hold } from '../support/fleet.ts'
import { expectSoundHistory } from '../support/history.ts'

async function findBroker() {
  const mongo = await findBackend('mongo')
  if ('reason' in mongo) return mongo
  const broker: Broker | { reason: string } = await startBroker().catch((error) => ({ reason: String(error) }))
  return 'reason' in broker ? broker : { broker, mongo }
}

await withBackend('a fleet whose broker fails', findBroker, ({ broker, mongo }) => {
  describe('Kafka goes away', { timeout: 120_000 }, () => {
    afterAll(() => broker.stop())

    test('with calls held: what was decided meanwhile resumes, new calls get 503, and all goes on when it is back', async () => {
      const fleet = await createFleet(broker, mongo)
      const decider = await fleet.start('decider')
      const gate = await fleet.start('gate')
      const [agent, admin] = [fleet.agent(gate.url), fleet.admin(decider.url)]
      const held = await hold(agent, admin, 6)
      await broker.kill()
      const refused = await agent.ask('stripe.refund', { refused: true })
      expect(refused).toMatchObject({ status: 503, body: { code: 'bus_unavailable', retryable: true } })
      for (const { id } of held.slice(0, 3)) expect((await admin.decide(id, 'approve')).status).toBe(200)
      await expect.poll(async () => (await fetch(`${gate.url}/readyz`)).status, { timeout: 20_000 }).toBe(503)

      await broker.restart()
      await expectAllowed(held.slice(0, 3))
      for (const { id } of held.slice(3)) expect((await admin.decide(id, 'approve')).status).toBe(200)
      await expectAllowed(held.slice(3))
      await expect.poll(async () => (await fetch(`${gate.url}/readyz`)).status, { timeout: 20_000 }).toBe(200)
      // A publish that was refused may still have arrived: then nobody waits for it.
      await fleet.log.consumed()
      for (const { id, status } of await fleet.records()) if (status === 'pending') await admin.decide(id, 'deny')
      await expectSoundHistory(fleet)
    })

    test('before a decision could be told, and the decider is killed: the event goes out at its next start, and the call resumes', async () => {
      const fleet = await createFleet(broker, mongo)
      const decider = await fleet.start('decider')
      const { url } = await fleet.start('gate')
      const [agent, admin] = [fleet.agent(url), fleet.admin(decider.url)]
      const [held] = await hold(agent, admin, 1)
      await broker.kill()
      expect(await admin.decide(held!.id, 'approve')).toMatchObject({ status: 200, body: { status: 'approved' } })
      await decider.end('SIGKILL')
      await broker.restart()
      expect(await fleet.log.read(['approval.decided'])).toEqual([])
      expect((await fleet.records()).map(({ status, outbox }) => [status, outbox.length])).toEqual([['approved', 1]])

      await fleet.start('decider', { port: new URL(decider.url).port })
      await expectAllowed([held!])
      await expectSoundHistory(fleet)
      const told = await fleet.log.read(['approval.decided'])
      expect(new Set(told.map(({ event }) => event?.eventId)).size).toBe(1)
    })
  })
})
