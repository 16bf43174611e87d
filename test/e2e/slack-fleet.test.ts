import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { withBackend } from '../support/backends/backend.ts'
import { createFleet, findEngines } from '../support/fleet.ts'
import { expectSoundHistory } from '../support/history.ts'
import { BOT_TOKEN, SIGNING_SECRET, startSlack } from '../support/slack-server.ts'

await withBackend('Slack beside three services over Kafka and MongoDB', findEngines, ({ kafka, mongo }) => {
  describe('two notifiers with Slack', () => {
    test('post one card for each call, and a click at either decides; the other services need no tokens', async () => {
      const slack = await startSlack()
      const fleet = await createFleet(kafka, mongo)
      const section = `slack: { channel: C0APPROVALS, apiUrl: "${slack.apiUrl}", users: { U0ALICE: alice } }`
      appendFileSync(join(fleet.cwd, 'countersign.yaml'), `approvers: [ { name: alice } ]\n${section}\n`)
      const decider = await fleet.start('decider')
      const env = { SLACK_BOT_TOKEN: BOT_TOKEN, SLACK_SIGNING_SECRET: SIGNING_SECRET }
      const [gate, ...notifiers] = await Promise.all([
        fleet.start('gate'),
        fleet.start('notifier', { env }),
        fleet.start('notifier', { env }),
      ])
      const agent = fleet.agent(gate.url)
      const held = Array.from({ length: 6 }, (_, amount) => agent.ask('stripe.refund', { amount }))
      await slack.until(() => slack.cards().length === 6, 'six cards')
      const presses = slack.cards().map((card) => slack.press(card, 'countersign.approve', 'U0ALICE'))
      for (const [index, press] of presses.entries()) {
        const notifier = notifiers[index % notifiers.length]
        expect((await slack.send(notifier?.url ?? '', press)).status).toBe(200)
      }
      for (const answer of await Promise.all(held))
        expect(answer).toMatchObject({ status: 200, body: { decidedBy: [{ name: 'alice', via: 'slack' }] } })
      const isApproved = ({ blocks }: { blocks: unknown }) =>
        JSON.stringify(blocks).includes('Approved by alice (slack).')
      await slack.until(() => slack.cards().every(isApproved), 'six outcomes')
      expect(slack.cards()).toHaveLength(6)
      await expectSoundHistory(fleet)
      for (const each of [gate, ...notifiers, decider]) expect(await each.end('SIGTERM')).toBe(0)
    }, 120_000)
  })
})
