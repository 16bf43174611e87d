import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { withBackend } from '../support/backends/backend.ts'
import { createFleet, findEngines } from '../support/fleet.ts'
import { expectSoundHistory } from '../support/history.ts'
import { runCountersign } from '../support/process.ts'

await withBackend('three services over Kafka and MongoDB', findEngines, ({ kafka, mongo }) => {
  describe('three services over Kafka and MongoDB', () => {
    test('a call is held by the gate, decided at the notifier’s origin, and resumes; the stream tells it', async () => {
      const fleet = await createFleet(kafka, mongo)
      const decider = await fleet.start('decider')
      const [gate, notifier] = await Promise.all([fleet.start('gate'), fleet.start('notifier')])
      const agent = fleet.agent(gate.url)
      const admin = fleet.admin(notifier.url)
      const stream = await admin.stream()

      const created = fleet.run(['keys', 'create', '--name', 'bot', '--role', 'agent', '--json'])
      expect(await created.exited).toBe(0)
      const bot = fleet.caller(gate.url, JSON.parse(created.stdout()).key)
      expect((await bot.ask('read.x')).status).toBe(200)

      const answer = agent.ask('stripe.refund', { amount: 1 })
      const { approval } = await stream.frame(({ event }) => event === 'requested')
      const id = approval?.id ?? ''
      await admin.pending()
      expect(await admin.decide(id, 'approve', { reason: 'fine' })).toMatchObject({ status: 200 })
      expect(await answer).toMatchObject({ status: 200, body: { effect: 'allow', approvalId: id, reason: 'fine' } })
      await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
      await stream.frame(({ event }) => event === 'settled')

      const denied = agent.ask('stripe.refund', { amount: 2 })
      const asked = await stream.frame(({ approval }) => approval?.action.preview === '{"amount":2}')
      stream.send({ type: 'decide', ref: 'no', id: asked.approval?.id, decision: 'deny' })
      expect((await denied).body.code).toBe('approval_denied')
      expect((await agent.ask('quick.x')).body.code).toBe('approval_expired')

      expect(await fleet.agent(gate.url).send('GET', '/v1/approvals')).toMatchObject({ status: 404 })
      const page = await fetch(`${notifier.url}/v1/approvals`)
      expect([page.status, (await page.json()) as unknown]).toMatchObject([401, { code: 'unauthenticated' }])
      for (const { url } of [gate, notifier, decider]) expect((await fetch(`${url}/readyz`)).status).toBe(200)
      await expectSoundHistory(fleet)
      for (const each of [gate, notifier, decider]) expect(await each.end('SIGTERM')).toBe(0)
    })

    test('kill -9 of gate and decider with calls held: pending after the restart, the retries are let through once', async () => {
      const fleet = await createFleet(kafka, mongo)
      const decider = await fleet.start('decider')
      const gate = await fleet.start('gate', { env: { COUNTERSIGN_GATE_NAME: 'gate-1' } })
      const lost = Array.from({ length: 10 }, (_, amount) =>
        fleet
          .agent(gate.url)
          .ask('stripe.refund', { amount })
          .catch(() => 'cut'),
      )
      const pending = await fleet.admin(decider.url).pending(10)
      await gate.end('SIGKILL')
      await decider.end('SIGKILL')
      expect(new Set(await Promise.all(lost))).toEqual(new Set(['cut']))

      const secondDecider = await fleet.start('decider')
      const env = { COUNTERSIGN_DECIDER_URL: secondDecider.url, COUNTERSIGN_GATE_NAME: 'gate-1' }
      const secondGate = await fleet.start('gate', { env })
      const agent = fleet.agent(secondGate.url)
      const admin = fleet.admin(secondDecider.url)
      const answers = pending.map(({ action }) => agent.ask('stripe.refund', JSON.parse(action.preview)))
      for (const { id } of pending) {
        await admin.recordThat(id, ({ version }) => version > 1)
        await admin.decide(id, 'approve')
      }
      expect((await Promise.all(answers)).map(({ status, body }) => [status, body.approvalId])).toEqual(
        pending.map(({ id }) => [200, id]),
      )
      const { body } = await admin.send<{ items: { id: string }[] }>('GET', '/v1/approvals?limit=200')
      expect(body.items).toHaveLength(10)
      await expectSoundHistory(fleet)
    })

    test('the decider away: known agents are still held, and let through when it is back', async () => {
      const fleet = await createFleet(kafka, mongo)
      const decider = await fleet.start('decider')
      const gate = await fleet.start('gate')
      const agent = fleet.agent(gate.url)
      expect((await agent.ask('read.x')).status).toBe(200)
      await decider.end('SIGKILL')
      const stranger = await fleet.agent(gate.url).send('POST', '/v1/actions', {
        body: { tool: 'read.x' },
        headers: { authorization: 'Bearer csk_nobody-knows-this-one' },
      })
      expect(stranger).toMatchObject({ status: 503, body: { code: 'decider_unavailable' } })
      const held = agent.ask('stripe.refund', { amount: 1 }, { headers: { 'idempotency-key': 'k' } })
      await fleet.start('decider', { port: new URL(decider.url).port })
      const admin = fleet.admin(decider.url)
      const [record] = await admin.pending()
      await admin.decide(record?.id ?? '', 'approve')
      expect((await held).body).toMatchObject({ effect: 'allow', approvalId: record?.id })
      await expectSoundHistory(fleet)
    })
  })
})

test('a service says everything that is missing at once, and refuses to start', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-fleet-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  const env = { KAFKA_BROKERS: '', MONGODB_URL: '', COUNTERSIGN_SERVICE_KEY: '', COUNTERSIGN_DECIDER_URL: '' }
  const decider = runCountersign(['decider', '--port', '0'], { cwd, env })
  expect(await decider.exited).toBe(2)
  for (const name of ['KAFKA_BROKERS', 'MONGODB_URL', 'COUNTERSIGN_SERVICE_KEY'])
    expect(decider.stderr()).toContain(name)
  const gate = runCountersign(['gate', '--port', '0'], { cwd, env })
  expect(await gate.exited).toBe(2)
  for (const name of ['KAFKA_BROKERS', 'COUNTERSIGN_DECIDER_URL']) expect(gate.stderr()).toContain(name)
  const notifier = runCountersign(['notifier', '--port', '0'], { cwd, env })
  expect(await notifier.exited).toBe(2)
  for (const name of Object.keys(env)) expect(notifier.stderr()).toContain(name)
  const away = {
    KAFKA_BROKERS: '127.0.0.1:1',
    COUNTERSIGN_DECIDER_URL: 'http://127.0.0.1:1',
    COUNTERSIGN_SERVICE_KEY: 'x'.repeat(40),
  }
  const unreachable = runCountersign(['gate', '--port', '0'], { cwd, env: away })
  expect(await unreachable.exited).toBe(3)
  expect(unreachable.stderr()).toContain('127.0.0.1:1')
})
