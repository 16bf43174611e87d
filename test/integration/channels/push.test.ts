import { describe, expect, it, onTestFinished } from 'vitest'
import { createGotifyChannel } from '../../../lib/adapters/gotify/channel.ts'
import { createJsonSender } from '../../../lib/adapters/http/json-sender.ts'
import { createNtfyChannel } from '../../../lib/adapters/ntfy/channel.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { anApproval, approved, denied } from '../../support/approvals.ts'
import { type JsonReceiver, startJsonReceiver } from '../../support/json-receiver.ts'
import { attempt, CHANNEL_DEPS, nastyRecord, notificationOf, PUBLIC_URL } from './fixture.ts'

interface NtfyMessage {
  topic: string
  title: string
  message: string
  priority: number
  tags: string[]
  sequence_id: string
  click?: string
}

interface GotifyMessage {
  title: string
  message: string
  priority: number
  extras: Record<string, unknown>
}

const TOKEN = 'tk_very-secret'
const PRIORITY = { low: 2, medium: 3, high: 4, critical: 5 }

function deps() {
  const { send, close } = createJsonSender({ clock: systemClock })
  onTestFinished(close)
  return { ...CHANNEL_DEPS, send }
}

/** What must not be in a text that phones show: escapes, marks that reverse, links and mentions. */
const NOT_INERT = /(?!\n)[\p{Cc}\u202a-\u202e]|:\/\/|@everyone|evil\.com/u

describe('ntfy', () => {
  const channelTo = ({ url }: Pick<JsonReceiver<unknown>, 'url'>, token: string | undefined = TOKEN) =>
    createNtfyChannel({ id: 'phone', url, topic: 'approvals', token, priority: PRIORITY }, deps())

  it('publishes a question as JSON, to look at alone', async () => {
    const server = await startJsonReceiver<NtfyMessage>()
    const record = anApproval()
    const outcome = await channelTo(server).deliver(notificationOf('approval.requested', record), attempt())
    expect(outcome).toEqual({ type: 'delivered', status: 200 })
    const { method, path, headers, body } = server.received[0]!
    expect([method, path, headers.authorization]).toEqual(['POST', '/', `Bearer ${TOKEN}`])
    expect(body).toEqual({
      topic: 'approvals',
      title: 'Approval needed (high)',
      message: expect.stringContaining('Agent: billing'),
      priority: 4,
      tags: ['raised_hand'],
      sequence_id: record.id,
      click: `${PUBLIC_URL}/#/approvals/${record.id}`,
    })
  })

  it('tells the outcome in its place, without a sound', async () => {
    const server = await startJsonReceiver<NtfyMessage>()
    const record = anApproval({ risk: 'critical' })
    const channel = channelTo(server)
    await channel.deliver(notificationOf('approval.requested', record), attempt())
    await channel.deliver(notificationOf('approval.decided', denied(record)), attempt())
    const [question, outcome] = server.received.map(({ body }) => body)
    expect(question).toMatchObject({ priority: 5, tags: ['rotating_light'] })
    expect(outcome).toMatchObject({
      title: 'Denied by alice',
      priority: 2,
      tags: ['no_entry'],
      sequence_id: question!.sequence_id,
    })
  })

  it('sends no credential where there is none', async () => {
    const server = await startJsonReceiver<NtfyMessage>()
    const channel = createNtfyChannel(
      { id: 'phone', url: server.url, topic: 't', token: undefined, priority: PRIORITY },
      { ...deps(), linkTo: () => undefined },
    )
    await channel.deliver(notificationOf('approval.requested'), attempt())
    expect(server.received[0]!.headers.authorization).toBeUndefined()
    expect(server.received[0]!.body).not.toHaveProperty('click')
  })

  it('shows what agents wrote inert, and stays a message', async () => {
    const server = await startJsonReceiver<NtfyMessage>()
    const record = nastyRecord()
    record.action.preview = JSON.stringify({ text: 'é"'.repeat(3_000) })
    await channelTo(server).deliver(notificationOf('approval.requested', record), attempt())
    const { title, message } = server.received[0]!.body
    expect(`${title}\n${message}`).not.toMatch(NOT_INERT)
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(3_800)
  })

  it('waits as long as the server says, and never tells the token', async () => {
    const server = await startJsonReceiver({ status: 429, headers: { 'retry-after': '60' } })
    const limited = await channelTo(server).deliver(notificationOf('approval.requested'), attempt())
    expect(limited).toMatchObject({ type: 'failed', status: 429, retryAfterMs: 60_000 })
    server.reply = { status: 403, body: { error: `forbidden for ${TOKEN}` } }
    const refused = await channelTo(server).deliver(notificationOf('approval.requested'), attempt())
    expect(refused).toMatchObject({ type: 'failed', status: 403 })
    expect(JSON.stringify([limited, refused])).not.toContain(TOKEN)
  })
})

describe('Gotify', () => {
  const channelTo = ({ url }: Pick<JsonReceiver<unknown>, 'url'>) =>
    createGotifyChannel({ id: 'phone', url: `${url}/push/`, token: TOKEN, priority: { ...PRIORITY, high: 8 } }, deps())

  it('posts a message as plain text, its token in a header', async () => {
    const server = await startJsonReceiver<GotifyMessage>()
    const record = anApproval()
    const outcome = await channelTo(server).deliver(notificationOf('approval.requested', record), attempt())
    expect(outcome).toEqual({ type: 'delivered', status: 200 })
    const { method, path, headers, body } = server.received[0]!
    expect([method, path, headers['x-gotify-key']]).toEqual(['POST', '/push/message', TOKEN])
    expect(body).toEqual({
      title: 'Approval needed (high)',
      message: expect.stringContaining('Refund 120.'),
      priority: 8,
      extras: {
        'client::display': { contentType: 'text/plain' },
        'client::notification': { click: { url: `${PUBLIC_URL}/#/approvals/${record.id}` } },
      },
    })
  })

  it('tells the outcome without a sound', async () => {
    const server = await startJsonReceiver<GotifyMessage>()
    await channelTo(server).deliver(notificationOf('approval.decided', approved(anApproval())), attempt())
    expect(server.received[0]!.body).toMatchObject({ title: 'Approved by alice', priority: 2 })
  })

  it('shows what agents wrote inert', async () => {
    const server = await startJsonReceiver<GotifyMessage>()
    await channelTo(server).deliver(notificationOf('approval.requested', nastyRecord()), attempt())
    const { title, message } = server.received[0]!.body
    expect(`${title}\n${message}`).not.toMatch(NOT_INERT)
    expect(message).toContain('\\u{202e}')
  })

  it('may be mended where the token is refused', async () => {
    const server = await startJsonReceiver({ status: 401 })
    const outcome = await channelTo(server).deliver(notificationOf('approval.requested'), attempt())
    expect(outcome).toMatchObject({ type: 'failed', status: 401 })
  })
})
