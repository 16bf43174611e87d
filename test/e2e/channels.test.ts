import { expect, test } from 'vitest'
import { startJsonReceiver } from '../support/json-receiver.ts'
import { LOOPBACK_CERTIFICATE } from '../support/loopback-certificate.ts'
import { startMailServer } from '../support/mail-server.ts'
import { startWorld } from '../support/server.ts'

const PUBLIC_URL = 'https://countersign.example.com'

interface NtfyMessage {
  title: string
  sequence_id: string
  click: string
}
interface TeamsCard {
  attachments: { content: { body: { inlines: { text: string }[] }[] } }[]
}
interface DiscordMessage {
  embeds: { title: string }[]
}

/** One of each, every one on a server of its own. */
async function startAll() {
  const [mail, ntfy, gotify, teams, discord] = await Promise.all([
    startMailServer({ disabledCommands: [], authOptional: false }),
    startJsonReceiver<NtfyMessage>(),
    startJsonReceiver<{ title: string }>(),
    startJsonReceiver<TeamsCard>({ status: 202 }),
    startJsonReceiver<DiscordMessage>({ body: { id: '7' } }),
  ])
  const config = `
publicUrl: ${PUBLIC_URL}/
channels:
  - { id: mail, type: email, smtp: { host: localhost, port: ${mail.port}, user: countersign, password: right, ca: ${JSON.stringify(LOOPBACK_CERTIFICATE)} }, from: "Countersign <c@example.com>", to: [alice@example.com] }
  - { id: phone, type: ntfy, url: "${ntfy.url}", topic: approvals, token: tk_secret }
  - { id: home, type: gotify, url: "${gotify.url}", token: AbC }
  - { id: team, type: teams, url: "${teams.url}/workflow?sig=s3cret" }
  - { id: guild, type: discord, url: "${discord.url}/api/webhooks/1/s3cret" }
`
  return { mail, ntfy, gotify, teams, discord, config }
}

const titleOf = ({ attachments }: TeamsCard) => attachments[0]?.content.body[0]?.inlines[0]?.text

test('a held call is told on every channel, and so is who decided', async () => {
  const { mail, ntfy, gotify, teams, discord, config } = await startAll()
  const world = await startWorld({ config })
  const held = world.agent.ask('stripe.refund', { amount: 5 })
  const [approval] = await world.admin.pending()
  const card = `${PUBLIC_URL}/#/approvals/${approval!.id}`

  expect(await mail.mail(1)).toMatchObject({
    secure: true,
    user: 'countersign',
    text: expect.stringContaining(`Read and decide: ${card}`),
  })
  expect((await ntfy.request(1)).body).toMatchObject({ title: 'Approval needed (high)', click: card })
  expect((await gotify.request(1)).body.title).toBe('Approval needed (high)')
  expect(titleOf((await teams.request(1)).body)).toBe('Approval needed (high)')
  expect((await discord.request(1)).method).toBe('POST')

  await world.admin.decide(approval!.id, 'approve')
  expect((await held).body.effect).toBe('allow')

  const answer = await mail.mail(2)
  expect(answer.text).toContain('Approved by owner')
  expect(answer.headers.get('in-reply-to')).toBe(mail.mails[0]!.headers.get('message-id'))
  expect((await ntfy.request(2)).body).toMatchObject({ title: 'Approved by owner', sequence_id: approval!.id })
  expect((await gotify.request(2)).body.title).toBe('Approved by owner')
  expect(titleOf((await teams.request(2)).body)).toBe('Approved by owner')
  const edit = await discord.request(2)
  expect([edit.method, edit.path]).toEqual(['PATCH', '/api/webhooks/1/s3cret/messages/7'])
  expect(edit.body.embeds[0]!.title).toBe('Approved by owner')
})

test('a channel is told of what it wants alone', async () => {
  const everything = await startJsonReceiver<NtfyMessage>()
  const risky = await startJsonReceiver<NtfyMessage>()
  const refunds = await startJsonReceiver<NtfyMessage>()
  const outcomes = await startJsonReceiver<NtfyMessage>()
  const world = await startWorld({
    config: `
channels:
  - { id: everything, type: ntfy, url: "${everything.url}", topic: t }
  - { id: risky, type: ntfy, url: "${risky.url}", topic: t, risks: [high, critical] }
  - { id: refunds, type: ntfy, url: "${refunds.url}", topic: t, tools: ["stripe.*"], events: [approval.requested] }
  - { id: outcomes, type: ntfy, url: "${outcomes.url}", topic: t, rules: [kept], events: [approval.decided] }
`,
  })
  const kept = world.agent.ask('kept.call')
  const [first] = await world.admin.pending()
  await world.admin.decide(first!.id, 'deny')
  await kept
  const refund = world.agent.ask('stripe.refund', { amount: 5 })
  const [second] = await world.admin.pending()
  await world.admin.decide(second!.id, 'deny')
  await refund
  await everything.request(4)
  await risky.request(2)
  await refunds.request(1)
  await outcomes.request(1)
  const told = (receiver: typeof everything) => receiver.received.map(({ body }) => [body.sequence_id, body.title])
  expect(told(risky)).toEqual([
    [second!.id, 'Approval needed (high)'],
    [second!.id, 'Denied by owner'],
  ])
  expect(told(refunds)).toEqual([[second!.id, 'Approval needed (high)']])
  expect(told(outcomes)).toEqual([[first!.id, 'Denied by owner']])
})

test('a channel that fails delays neither the agent nor the others, and is tried again', async () => {
  const { mail, ntfy, gotify, config } = await startAll()
  ntfy.reply = { status: 503 }
  gotify.reply = 'nothing'
  const world = await startWorld({ config })
  const held = world.agent.ask('stripe.refund', { amount: 5 })
  const [approval] = await world.admin.pending()
  await Promise.all([mail.mail(1), ntfy.request(1), gotify.request(1)])
  ntfy.reply = {}
  const again = await ntfy.request(2)
  expect(again.body.title).toBe('Approval needed (high)')
  await world.admin.decide(approval!.id, 'deny')
  expect((await held).status).toBe(403)
  await mail.mail(2)
  expect((await ntfy.request(3)).body.title).toBe('Denied by owner')
})
