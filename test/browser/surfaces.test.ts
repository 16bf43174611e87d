import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { card, inBrowser, signIn } from '../support/browser.ts'
import { runCountersign } from '../support/process.ts'
import { startWorld } from '../support/server.ts'
import { BOT_TOKEN, SIGNING_SECRET, startSlack } from '../support/slack-server.ts'
import { startReceiver, WEBHOOK_SECRET } from '../support/webhook-receiver.ts'

beforeAll(() => {
  vi.stubEnv('SLACK_BOT_TOKEN', BOT_TOKEN)
  vi.stubEnv('SLACK_SIGNING_SECRET', SIGNING_SECRET)
  vi.stubEnv('SLACK_APP_TOKEN', '')
})
afterAll(() => vi.unstubAllEnvs())

inBrowser('a decision on one surface', (openPage) => {
  test('settles the call on every other', async () => {
    const slack = await startSlack()
    const receiver = await startReceiver()
    const config = {
      approvers: [{ name: 'alice' }],
      network: { allowPrivate: ['127.0.0.1'] },
      webhooks: [{ id: 'pager', url: receiver.url, secret: WEBHOOK_SECRET, callbackAs: 'alice' }],
      slack: { apiUrl: slack.apiUrl, channel: '#approvals', users: { U0ALICE: 'alice' } },
    }
    const world = await startWorld({ config: JSON.stringify(config) })
    const { agent, admin, url } = world
    const cwd = mkdtempSync(join(tmpdir(), 'countersign-surfaces-'))
    onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
    const countersign = (...args: string[]) => runCountersign([...args, '--data', world.dataDir], { cwd })
    const stream = await admin.stream()
    const page = await openPage()
    await signIn(page, admin)
    const watch = countersign('approvals', 'watch', '--json')

    interface Asked {
      id: string
      title: string
    }
    const slackCard = ({ id }: Asked) => slack.card(({ metadata }) => JSON.stringify(metadata).includes(id))
    const surfaces: Record<string, (asked: Asked) => Promise<unknown>> = {
      page: ({ title }) => card(page, title).getByRole('button', { name: 'Approve' }).click(),
      http: ({ id }) => admin.decide(id, 'approve'),
      ws: async ({ id }) => stream.send({ type: 'decide', ref: id, id, decision: 'approve' }),
      cli: ({ id }) => countersign('approvals', 'approve', id).exited,
      slack: async (asked) => slack.send(url, slack.press(await slackCard(asked), 'countersign.approve', 'U0ALICE')),
      callback: async ({ id }) => {
        const sent = receiver.of('approval.requested').find(({ body }) => body.data.id === id)
        const callbacks = sent?.body.callbacks as { approve: string } | undefined
        return fetch(callbacks?.approve ?? '', { method: 'POST' })
      },
    }

    for (const [surface, decide] of Object.entries(surfaces)) {
      const title = `Decided by ${surface}`
      const held = agent.ask('stripe.refund', { surface }, { context: { summary: title } })
      const [pending] = await admin.pending()
      const asked = { id: pending?.id ?? '', title }
      const { id } = asked
      const isAbout = ({ body }: (typeof receiver.received)[number]) => body.data.id === id
      await receiver.until(() => receiver.of('approval.requested').some(isAbout), 'the request')
      const shown = await slackCard(asked)
      await card(page, title).waitFor()
      await expect.poll(watch.stdout, { timeout: 20_000 }).toContain(id)

      await decide(asked)

      expect(await held, surface).toMatchObject({ status: 200, body: { effect: 'allow', approvalId: id } })
      await card(page, title).getByText('Approved').waitFor()
      await stream.frame(({ event, approval }) => event === 'decided' && approval?.id === id)
      await receiver.until(() => receiver.of('approval.decided').some(isAbout), 'the decision')
      await slack.until(
        () => slack.cards().some(({ ts, blocks }) => ts === shown.ts && JSON.stringify(blocks).includes('Approved by')),
        'the decision on the card',
      )
      const decidedLine = () =>
        watch
          .stdout()
          .split('\n')
          .some((line) => line.includes('"decided"') && line.includes(id))
      await expect.poll(decidedLine, { timeout: 20_000 }).toBe(true)
      expect((await admin.record(id)).decidedBy).toMatchObject([
        { name: /^(callback|slack)$/.test(surface) ? 'alice' : 'owner' },
      ])
    }
  })
})
