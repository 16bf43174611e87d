import { describe, expect, it, onTestFinished } from 'vitest'
import { createDiscordChannel } from '../../../lib/adapters/discord/channel.ts'
import { createJsonSender } from '../../../lib/adapters/http/json-sender.ts'
import { createTeamsChannel } from '../../../lib/adapters/teams/channel.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { anApproval, approved, denied } from '../../support/approvals.ts'
import { type JsonReceiver, startJsonReceiver } from '../../support/json-receiver.ts'
import { attempt, CHANNEL_DEPS, nastyRecord, notificationOf, PUBLIC_URL } from './fixture.ts'

function deps() {
  const { send, close } = createJsonSender({ clock: systemClock })
  onTestFinished(close)
  return { ...CHANNEL_DEPS, send }
}

/** A record that is as long as it can be, in characters that take the most room. */
function longRecord(): Approval {
  const record = nastyRecord()
  const long = '.é"\\*'.repeat(100)
  return {
    ...record,
    agent: { ...record.agent, name: long, session: long, user: long },
    action: { ...record.action, summary: long, preview: JSON.stringify(Array(400).fill('"\\*`'.repeat(10))) },
    rule: { ...record.rule, ids: [long], why: Array(20).fill(long) },
    findings: Array(20).fill({ detector: 'd', severity: 'high', message: long, path: null }),
    requirements: Array(20).fill({ rule: 'r', anyOf: [long], approve: 2 }),
  }
}

describe('Microsoft Teams', () => {
  interface TextRun {
    type: string
    text: string
  }
  interface Card {
    type: string
    attachments: {
      contentType: string
      content: {
        type: string
        body: { type: string; inlines: TextRun[] }[]
        actions?: { type: string; url: string }[]
        msteams?: unknown
      }
    }[]
  }
  const channelTo = ({ url }: Pick<JsonReceiver<unknown>, 'url'>) =>
    createTeamsChannel({ id: 'team', url: `${url}/workflows/x/triggers?sig=s3cret` }, deps())
  const linesOf = (card: Card) =>
    card.attachments[0]!.content.body.map(({ inlines }) => inlines.map(({ text }) => text).join(''))

  it('posts an Adaptive Card that only opens the page', async () => {
    const server = await startJsonReceiver<Card>({ status: 202 })
    const record = anApproval()
    const outcome = await channelTo(server).deliver(notificationOf('approval.requested', record), attempt())
    expect(outcome).toEqual({ type: 'delivered', status: 202 })
    const { path, body } = server.received[0]!
    expect(path).toBe('/workflows/x/triggers?sig=s3cret')
    expect(body.attachments[0]).toMatchObject({
      contentType: 'application/vnd.microsoft.card.adaptive',
      content: {
        type: 'AdaptiveCard',
        actions: [{ type: 'Action.OpenUrl', url: `${PUBLIC_URL}/#/approvals/${record.id}` }],
      },
    })
    expect(linesOf(body)).toEqual(
      expect.arrayContaining(['Approval needed (high)', 'Agent: billing', '{', '\u00a0\u00a0"amount": 120', '}']),
    )
  })

  it('tells the outcome', async () => {
    const server = await startJsonReceiver<Card>({ status: 202 })
    await channelTo(server).deliver(notificationOf('approval.decided', approved(anApproval())), attempt())
    expect(linesOf(server.received[0]!.body)[0]).toBe('Approved by alice')
  })

  it('shows what agents wrote in runs of text, which know no markup', async () => {
    const server = await startJsonReceiver<Card>({ status: 202 })
    await channelTo(server).deliver(notificationOf('approval.requested', nastyRecord()), attempt())
    const { content } = server.received[0]!.body.attachments[0]!
    for (const { type, inlines } of content.body) {
      expect(type).toBe('RichTextBlock')
      for (const run of inlines) {
        expect(run.type).toBe('TextRun')
        expect(run.text).not.toMatch(/[\p{Cc}\u202a-\u202e]|:\/\/|@everyone|evil\.com/u)
      }
    }
    expect(content).not.toHaveProperty('msteams')
    expect(content.actions).toHaveLength(1)
  })

  it('stays under what Teams takes', async () => {
    const server = await startJsonReceiver<Card>({ status: 202 })
    await channelTo(server).deliver(notificationOf('approval.requested', longRecord()), attempt())
    expect(server.received[0]!.bytes).toBeLessThan(28_000)
    expect(linesOf(server.received[0]!.body).join('\n')).toMatch(/Expires: /)
  })

  it('waits as long as Teams says; its address is in no outcome', async () => {
    const server = await startJsonReceiver({ status: 429, headers: { 'retry-after': '3' } })
    const outcome = await channelTo(server).deliver(notificationOf('approval.requested'), attempt())
    expect(outcome).toMatchObject({ type: 'failed', retryAfterMs: 3_000 })
    expect(JSON.stringify(outcome)).not.toContain('s3cret')
  })
})

describe('Discord', () => {
  interface Message {
    content?: string
    embeds: {
      title: string
      description: string
      url?: string
      fields: { name: string; value: string }[]
      footer?: { text: string }
    }[]
    allowed_mentions: unknown
  }
  const POSTED = { body: { id: '112233' } }
  const channelTo = ({ url }: Pick<JsonReceiver<unknown>, 'url'>, query = '') =>
    createDiscordChannel({ id: 'guild', url: `${url}/api/webhooks/1/s3cret${query}` }, deps())

  it('posts an embed that mentions nobody', async () => {
    const server = await startJsonReceiver<Message>(POSTED)
    const record = anApproval()
    const outcome = await channelTo(server, '?thread_id=9').deliver(
      notificationOf('approval.requested', record),
      attempt(),
    )
    expect(outcome).toEqual({ type: 'delivered', status: 200, receipt: '112233' })
    const { method, path, body } = server.received[0]!
    expect([method, path]).toEqual(['POST', '/api/webhooks/1/s3cret?thread_id=9&wait=true'])
    expect(body.allowed_mentions).toEqual({ parse: [] })
    expect(body.content).toBeUndefined()
    expect(body.embeds[0]).toMatchObject({
      title: 'Approval needed \\(high\\)',
      url: `${PUBLIC_URL}/#/approvals/${record.id}`,
      description: expect.stringContaining('"amount": 120'),
    })
    expect(body.embeds[0]!.fields).toContainEqual({ name: 'Agent', value: 'billing', inline: true })
  })

  it('puts the outcome in the place of the question', async () => {
    const server = await startJsonReceiver<Message>(POSTED)
    const notification = notificationOf('approval.decided', denied(anApproval()))
    const outcome = await channelTo(server, '?thread_id=9').deliver(notification, attempt({ receipt: '445566' }))
    expect(outcome).toEqual({ type: 'delivered', status: 200 })
    const { method, path, body } = server.received[0]!
    expect([method, path]).toEqual(['PATCH', '/api/webhooks/1/s3cret/messages/445566?thread_id=9'])
    expect(body.embeds[0]!.title).toBe('Denied by alice')
    expect(body.allowed_mentions).toEqual({ parse: [] })
  })

  it('posts the outcome where the question was deleted or never came', async () => {
    const server = await startJsonReceiver<Message>(({ method }) =>
      method === 'PATCH' ? { status: 404, body: { code: 10008, message: 'Unknown Message' } } : POSTED,
    )
    const channel = channelTo(server)
    const notification = notificationOf('approval.decided', denied(anApproval()))
    for (const receipt of ['445566', null])
      expect(await channel.deliver(notification, attempt({ receipt }))).toMatchObject({
        type: 'delivered',
        receipt: '112233',
      })
    expect(server.received.map(({ method }) => method)).toEqual(['PATCH', 'POST', 'POST'])
  })

  it('reminds by a message of its own, and leaves the card where it is', async () => {
    const server = await startJsonReceiver<Message>(POSTED)
    const outcome = await channelTo(server).deliver(notificationOf('approval.expiring'), attempt({ receipt: '445566' }))
    expect(outcome).toEqual({ type: 'delivered', status: 200 })
    expect(server.received[0]!.method).toBe('POST')
  })

  it('is gone when the webhook was deleted', async () => {
    const server = await startJsonReceiver({ status: 404, body: { code: 10015, message: 'Unknown Webhook' } })
    for (const receipt of [null, '445566']) {
      const notification = notificationOf('approval.decided', denied(anApproval()))
      expect(await channelTo(server).deliver(notification, attempt({ receipt }))).toMatchObject({ type: 'gone' })
    }
  })

  it('waits as long as Discord says; its address is in no outcome', async () => {
    const server = await startJsonReceiver({
      status: 429,
      headers: { 'retry-after': '1.5' },
      body: { retry_after: 1.5, global: false },
    })
    const outcome = await channelTo(server).deliver(notificationOf('approval.requested'), attempt())
    expect(outcome).toMatchObject({ type: 'failed', status: 429, retryAfterMs: 1_500 })
    expect(JSON.stringify(outcome)).not.toContain('s3cret')
  })

  it('shows what agents wrote inert: escaped, or in a code block that it cannot end', async () => {
    const server = await startJsonReceiver<Message>(POSTED)
    await channelTo(server).deliver(notificationOf('approval.requested', nastyRecord()), attempt())
    const { title, description, fields } = server.received[0]!.body.embeds[0]!
    const blocks = description.split('```')
    expect(blocks.length).toBe(5)
    expect([blocks[0], blocks[2], blocks[4]].join('').trim()).toBe('')
    for (const text of [title, ...fields.flatMap(({ name, value }) => [name, value])])
      expect(text.replace(/\\[\p{P}\p{S}]/gu, '')).not.toMatch(/[*_~`|>#<@:[\]()\\]/)
    for (const text of [title, description, ...fields.map(({ value }) => value)])
      expect(text).not.toMatch(/(?!\n)[\p{Cc}\u202a-\u202e]|:\/\/|@everyone|evil\.com/u)
  })

  it('stays under what Discord takes', async () => {
    const server = await startJsonReceiver<Message>(POSTED)
    await channelTo(server).deliver(notificationOf('approval.requested', longRecord()), attempt())
    const { title, description, fields, footer } = server.received[0]!.body.embeds[0]!
    expect(title.length).toBeLessThanOrEqual(256)
    expect(description.length).toBeLessThanOrEqual(4_096)
    expect(fields.length).toBeLessThanOrEqual(25)
    for (const { name, value } of fields) {
      expect(name.length).toBeLessThanOrEqual(256)
      expect(value.length).toBeLessThanOrEqual(1_024)
      expect(value).not.toBe('')
    }
    const all = [title, description, footer?.text ?? '', ...fields.flatMap(({ name, value }) => [name, value])]
    expect(all.join('').length).toBeLessThanOrEqual(6_000)
    expect(fields.map(({ name }) => name)).toContain('Expires')
  })
})
