import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { withBackend } from '../support/backends/backend.ts'
import { createFleet, findEngines } from '../support/fleet.ts'
import { POLICY } from '../support/server.ts'
import { startReceiver, verified, WEBHOOK_SECRET, type WebhookReceiver } from '../support/webhook-receiver.ts'

const APPROVALS = 40
const WAIT_MS = 90_000

const idsIn = (receiver: WebhookReceiver, type: string) => new Set(receiver.of(type).map(({ body }) => body.data.id))

await withBackend('webhooks of a fleet', findEngines, ({ kafka, mongo }) => {
  describe('webhooks of a fleet', () => {
    test('two notifiers share the work; kill -9 of one loses nothing, and the links that it sent decide at the other', async () => {
      let release = () => {}
      const released = new Promise<void>((resolve) => {
        release = resolve
      })
      const quick = await startReceiver()
      const slow = await startReceiver({ reply: () => ({ after: released }) })
      const callback = await startReceiver()
      const fleet = await createFleet(kafka, mongo)
      writeFileSync(join(fleet.cwd, 'policy.yaml'), POLICY.replace('timeout: 1m', 'timeout: 1h'))
      const hook = { secret: WEBHOOK_SECRET }
      appendFileSync(
        join(fleet.cwd, 'countersign.yaml'),
        [
          `network: ${JSON.stringify({ allowPrivate: ['127.0.0.1'] })}`,
          `approvers: ${JSON.stringify([{ name: 'alice' }])}`,
          `callbacks: ${JSON.stringify({ hosts: ['127.0.0.1:*'], ...hook })}`,
          `webhooks: ${JSON.stringify([
            { id: 'quick', url: quick.url, callbackAs: 'alice', ...hook },
            { id: 'slow', url: slow.url, ...hook },
          ])}`,
          '',
        ].join('\n'),
      )
      const decider = await fleet.start('decider')
      const [gate, first, second] = await Promise.all([
        fleet.start('gate'),
        fleet.start('notifier'),
        fleet.start('notifier'),
      ])
      const agent = fleet.agent(gate.url)
      const asked = await Promise.all(
        Array.from({ length: APPROVALS }, (_, amount) =>
          agent.ask(
            'kept.call',
            { amount },
            { headers: { prefer: 'respond-async' }, context: { callback: callback.url } },
          ),
        ),
      )
      const ids = asked.map(({ body }) => body.approvalId)
      await quick.until(() => idsIn(quick, 'approval.requested').size === APPROVALS, 'all requests', WAIT_MS)
      // Both have some of the slow one's under way by now, or one has all that may be.
      await slow.until(() => slow.received.length > 0, 'a request under way', WAIT_MS)
      await first.end('SIGKILL')
      release()
      await slow.until(() => idsIn(slow, 'approval.requested').size === APPROVALS, 'all requests', WAIT_MS)

      const byLink = quick.received[0]!.body as unknown as { data: { id: string }; callbacks: { approve: string } }
      const { pathname } = new URL(byLink.callbacks.approve)
      const clicked = await fetch(second.url + pathname, { method: 'POST' })
      expect(await clicked.json()).toMatchObject({
        id: byLink.data.id,
        status: 'approved',
        decidedBy: [{ name: 'alice' }],
      })

      const admin = fleet.admin(decider.url)
      await admin.send('POST', '/v1/approvals/decisions', { body: { ids, decision: 'approve' } })
      for (const receiver of [quick, slow, callback]) {
        await receiver.until(() => idsIn(receiver, 'approval.decided').size === APPROVALS, 'all decisions', WAIT_MS)
        expect([...idsIn(receiver, 'approval.decided')].sort()).toEqual([...ids].sort())
        for (const got of receiver.received) expect(() => verified(got)).not.toThrow()
      }
    }, 240_000)
  })
})
