import { expect, test, vi } from 'vitest'
import { startWorld } from '../support/server.ts'
import { APP_TOKEN, BOT_TOKEN, startSlack } from '../support/slack-server.ts'

test('with an app-level token clicks come by Socket Mode, and no secret for signatures is needed', async () => {
  vi.stubEnv('SLACK_BOT_TOKEN', BOT_TOKEN)
  vi.stubEnv('SLACK_APP_TOKEN', APP_TOKEN)
  vi.stubEnv('SLACK_SIGNING_SECRET', '')
  const slack = await startSlack()
  const config = `
approvers: [ { name: alice } ]
slack: { channel: "#approvals", apiUrl: "${slack.apiUrl}", users: { U0ALICE: alice } }
`
  const world = await startWorld({ config })
  const { agent, url } = world
  expect((await slack.sendRaw(url, 'payload=%7B%7D')).status).toBe(404)

  const held = agent.ask('stripe.refund', { amount: 7 })
  const first = await slack.card(() => true)
  expect(await slack.sendBySocket(slack.press(first, 'countersign.approve', 'U0ALICE'))).toEqual({})
  expect(await held).toMatchObject({ status: 200, body: { decidedBy: [{ name: 'alice', via: 'slack' }] } })

  const denied = agent.ask('with.reason')
  const second = await slack.card(({ ts }) => ts !== first.ts)
  await slack.sendBySocket(slack.press(second, 'countersign.deny', 'U0ALICE'))
  const [view = {}] = slack.views
  const empty = await slack.sendBySocket(slack.submission(view, '', 'U0ALICE'))
  expect(empty).toMatchObject({ response_action: 'errors' })
  expect(await slack.sendBySocket(slack.submission(view, 'no', 'U0ALICE'))).toEqual({})
  expect(await denied).toMatchObject({ status: 403, body: { reason: 'no' } })

  await world.stop()
  await slack.until(() => slack.sockets.size === 0, 'the end of the connection')
})
