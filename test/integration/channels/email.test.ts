import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createEmailChannel, type EmailSettings } from '../../../lib/adapters/email/channel.ts'
import { anApproval, approved, claimed, denied, settled } from '../../support/approvals.ts'
import { LOOPBACK_CERTIFICATE } from '../../support/loopback-certificate.ts'
import { type MailServer, startMailServer } from '../../support/mail-server.ts'
import { attempt, CHANNEL_DEPS, nastyRecord, notificationOf, PUBLIC_URL } from './fixture.ts'

const FROM = { name: 'Countersign', address: 'approvals@example.com' }
const LOGIN = { user: 'countersign', password: 'right' }

function channelTo(
  { port }: Pick<MailServer, 'port'>,
  smtp: Partial<EmailSettings['smtp']> = {},
  {
    to = ['alice@example.com', 'bob@example.com'],
    linkTo = CHANNEL_DEPS.linkTo as (id: string) => string | undefined,
  } = {},
) {
  const warnings: string[] = []
  const channel = createEmailChannel(
    {
      id: 'mail',
      smtp: { host: 'localhost', port, security: 'none', login: undefined, ca: undefined, ...smtp },
      from: FROM,
      to,
    },
    { ...CHANNEL_DEPS, linkTo, log: { warn: (message) => warnings.push(message) } },
  )
  onTestFinished(() => channel.close())
  return { channel, warnings }
}

/** A promise, and what resolves it. */
function signalled() {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve: () => resolve() }
}

describe('what is sent', () => {
  it('asks by text and HTML, with a link to the card and nothing that decides', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server)
    const record = anApproval()
    expect(await channel.deliver(notificationOf('approval.requested', record), attempt())).toEqual({
      type: 'delivered',
      status: 250,
    })
    const mail = await server.mail(1)
    const link = `${PUBLIC_URL}/#/approvals/${record.id}`
    expect(mail).toMatchObject({
      sender: 'approvals@example.com',
      recipients: ['alice@example.com', 'bob@example.com'],
      secure: false,
    })
    expect(Object.fromEntries(mail.headers)).toMatchObject({
      from: 'Countersign <approvals@example.com>',
      to: 'alice@example.com, bob@example.com',
      subject: '[Countersign] Refund 120.00 EUR to customer 42',
      'message-id': `<${record.id}@example.com>`,
      date: 'Thu, 01 Jan 2026 00:00:00 +0000',
      'auto-submitted': 'auto-generated',
      'x-auto-response-suppress': 'All',
      'x-priority': '1 (Highest)',
    })
    expect(mail.headers.has('in-reply-to')).toBe(false)
    expect(mail.text).toContain('Approval needed (high)')
    expect(mail.text).toContain('"amount": 120')
    expect(mail.text).toContain(`Read and decide: ${link}`)
    expect(mail.html.match(/href="[^"]*"/g)).toEqual([`href="${link}"`])
    expect(mail.html).not.toMatch(/<form|<input|<button|<img|<script/)
  })

  it('says where to decide when nobody told how people reach the page', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server, {}, { linkTo: () => undefined })
    await channel.deliver(notificationOf('approval.requested'), attempt())
    const mail = await server.mail(1)
    expect(mail.text).toContain('Decide on the page of Countersign.')
    expect(mail.html).not.toContain('href')
  })

  it('keeps all mails about an approval in one thread', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server)
    const record = anApproval()
    const after = approved(record)
    const steps = [
      notificationOf('approval.requested', record),
      notificationOf('approval.expiring', record),
      notificationOf('approval.decided', after),
      notificationOf('approval.settled', settled(claimed(after))),
    ]
    for (const step of steps) await channel.deliver(step, attempt())
    const [first, ...others] = server.mails.map(({ headers }) => headers)
    const thread = first!.get('message-id')!
    expect(others.map((headers) => headers.get('in-reply-to'))).toEqual([thread, thread, thread])
    expect(others.map((headers) => headers.get('references'))).toEqual([thread, thread, thread])
    expect(others.map((headers) => headers.get('subject'))).toEqual(Array(3).fill(`Re: ${first!.get('subject')}`))
    expect(new Set(server.mails.map(({ headers }) => headers.get('message-id'))).size).toBe(4)
    expect(server.mails.map(({ text }) => text.split('\n')[0])).toEqual([
      'Approval needed (high)',
      'Time runs out: approval needed (high)',
      'Approved by alice',
      'Executed',
    ])
    expect(server.connections).toBe(1)
  })

  it('is the same mail again when an attempt is repeated', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server)
    const notification = notificationOf('approval.decided', denied(anApproval()))
    await channel.deliver(notification, attempt())
    await channel.deliver(notification, attempt({ attempt: 2 }))
    const [first, second] = server.mails
    expect(second!.headers.get('message-id')).toBe(first!.headers.get('message-id'))
    expect(second!.text).toBe(first!.text)
  })

  it('refers to the id that the server gave the first mail', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server)
    const notification = notificationOf('approval.decided', denied(anApproval()))
    await channel.deliver(notification, attempt({ receipt: '<given@mail.example.net>' }))
    expect(server.mails[0]!.headers.get('in-reply-to')).toBe('<given@mail.example.net>')
  })

  it('keeps that id as the receipt', async () => {
    const server = await startMailServer({
      onData(stream, _session, done) {
        stream.resume()
        stream.on('end', () => done(null, '2.0.0 OK <given@AB1.prod.outlook.com> [Hostname=AB1]'))
      },
    })
    const { channel } = channelTo(server)
    expect(await channel.deliver(notificationOf('approval.requested'), attempt())).toEqual({
      type: 'delivered',
      status: 250,
      receipt: '<given@AB1.prod.outlook.com>',
    })
    // Only the first mail begins a thread.
    expect(await channel.deliver(notificationOf('approval.expiring'), attempt())).not.toHaveProperty('receipt')
  })

  it('shows what agents wrote inert, and lets nothing into the header', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server)
    await channel.deliver(notificationOf('approval.requested', nastyRecord()), attempt())
    const mail = await server.mail(1)
    expect(mail.recipients).toEqual(['alice@example.com', 'bob@example.com'])
    expect(mail.headers.has('bcc')).toBe(false)
    expect(mail.rawHead).not.toMatch(/^bcc:/im)
    expect(mail.headers.get('subject')!.length).toBeLessThanOrEqual(120)
    const own = `${PUBLIC_URL}/#/approvals/`
    for (const shown of [mail.text, mail.html]) {
      expect(shown).not.toMatch(/(?!\n)[\p{Cc}\u202a-\u202e]/u)
      expect(shown.replaceAll(own, '')).not.toMatch(/:\/\/|@everyone|evil\.com/)
      expect(shown).toContain('\\u{202e}')
    }
    expect(mail.html).not.toContain('<b>h')
    expect(mail.html).toContain('&lt;b&gt;h&lt;/b&gt;')
    expect(mail.html.match(/<a /g)).toHaveLength(1)
  })
})

describe('security', () => {
  it('uses TLS from the start, and logs in', async () => {
    const server = await startMailServer({ secure: true, disabledCommands: [], authOptional: false })
    const { channel } = channelTo(server, { security: 'tls', login: LOGIN, ca: LOOPBACK_CERTIFICATE })
    expect((await channel.deliver(notificationOf('approval.requested'), attempt())).type).toBe('delivered')
    expect(server.mails[0]).toMatchObject({ secure: true, user: 'countersign' })
  })

  it('uses STARTTLS, and logs in', async () => {
    const server = await startMailServer({ disabledCommands: [], authOptional: false })
    const { channel } = channelTo(server, { security: 'starttls', login: LOGIN, ca: LOOPBACK_CERTIFICATE })
    expect((await channel.deliver(notificationOf('approval.requested'), attempt())).type).toBe('delivered')
    expect(server.mails[0]).toMatchObject({ secure: true, user: 'countersign' })
  })

  it.each([
    ['tls', '1'],
    ['tls', '0'],
    ['starttls', '1'],
    ['starttls', '0'],
  ] as const)(
    'sends nothing where the certificate is not trusted (%s, NODE_TLS_REJECT_UNAUTHORIZED=%s)',
    async (security, word) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', word)
      onTestFinished(() => void vi.unstubAllEnvs())
      const server = await startMailServer({ secure: security === 'tls', disabledCommands: ['AUTH'] })
      const { channel } = channelTo(server, { security })
      const outcome = await channel.deliver(notificationOf('approval.requested'), attempt())
      expect(outcome).toMatchObject({ type: 'failed', detail: expect.stringContaining('trusted') })
      expect(server.mails).toEqual([])
    },
  )

  it('sends nothing where STARTTLS is not offered', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server, { security: 'starttls', ca: LOOPBACK_CERTIFICATE })
    const outcome = await channel.deliver(notificationOf('approval.requested'), attempt())
    expect(outcome).toMatchObject({ type: 'failed', detail: expect.stringContaining('TLS') })
    expect(server.mails).toEqual([])
  })

  it('fails, and may be mended, where the login is refused; the password is nowhere', async () => {
    const server = await startMailServer({ secure: true, disabledCommands: [], authOptional: false })
    const login = { user: 'countersign', password: 'hunter22' }
    const { channel, warnings } = channelTo(server, { security: 'tls', login, ca: LOOPBACK_CERTIFICATE })
    const outcome = await channel.deliver(notificationOf('approval.requested'), attempt())
    expect(outcome).toEqual({ type: 'failed', detail: 'the mail server refused the login (535)', status: 535 })
    expect(JSON.stringify([outcome, warnings])).not.toContain('hunter22')
  })
})

describe('failures', () => {
  const deliver = async (refuse: MailServer['refuse']) => {
    const server = await startMailServer()
    Object.assign(server.refuse, refuse)
    const { channel, warnings } = channelTo(server)
    return {
      server,
      channel,
      warnings,
      outcome: await channel.deliver(notificationOf('approval.requested'), attempt()),
    }
  }

  it.each([
    ['the sender for good', { sender: 550 }, 'rejected', 550],
    ['the sender for now', { sender: 451 }, 'failed', 451],
    ['every recipient for good', { recipient: () => 550 }, 'rejected', 550],
    ['every recipient, one for now', { recipient: (to: string) => (to.startsWith('a') ? 450 : 550) }, 'failed', 450],
    ['the mail for good', { data: 554 }, 'rejected', 554],
    ['the mail for now', { data: 452 }, 'failed', 452],
  ])('refusing %s', async (_, refuse, type, status) => {
    const { outcome } = await deliver(refuse)
    expect(outcome).toMatchObject({ type, status, detail: expect.stringContaining(`(${status})`) })
    expect(JSON.stringify(outcome)).not.toMatch(/by order|example\.com/)
  })

  it('goes on after a refusal', async () => {
    const { server, channel, outcome } = await deliver({ data: 452 })
    expect(outcome.type).toBe('failed')
    delete server.refuse.data
    expect((await channel.deliver(notificationOf('approval.requested'), attempt({ attempt: 2 }))).type).toBe(
      'delivered',
    )
  })

  it('has delivered when some of the recipients are taken, and says so', async () => {
    const { server, outcome, warnings } = await deliver({
      recipient: (to) => (to.startsWith('a') ? 550 : undefined),
    })
    expect(outcome).toEqual({ type: 'delivered', status: 250 })
    expect(server.mails[0]!.recipients).toEqual(['bob@example.com'])
    expect(warnings).toEqual(['mail: the mail server refused 1 of 2 recipients'])
  })

  it('fails when nobody listens', async () => {
    const { channel } = channelTo({ port: 1 })
    expect(await channel.deliver(notificationOf('approval.requested'), attempt())).toEqual({
      type: 'failed',
      detail: expect.stringContaining('could not be reached'),
    })
  })

  it('ends with its signal while the server says nothing', async () => {
    const reached = signalled()
    const server = await startMailServer({ onMailFrom: () => reached.resolve() })
    const { channel } = channelTo(server)
    const stop = new AbortController()
    const outcome = channel.deliver(notificationOf('approval.requested'), attempt({ signal: stop.signal }))
    await reached.promise
    stop.abort()
    expect(await outcome).toEqual({ type: 'failed', detail: 'the attempt was ended' })
  })
})

describe('connections', () => {
  it('are at most four, and kept', async () => {
    const server = await startMailServer()
    const { channel } = channelTo(server)
    const outcomes = await Promise.all(
      [...Array(20)].map(() => channel.deliver(notificationOf('approval.requested'), attempt())),
    )
    expect(new Set(outcomes.map(({ type }) => type))).toEqual(new Set(['delivered']))
    expect(server.mails).toHaveLength(20)
    expect(server.connections).toBeLessThanOrEqual(4)
  })

  it('end with the channel, and with them a mail on its way', async () => {
    const reached = signalled()
    const left = signalled()
    const server = await startMailServer({
      onMailFrom: () => reached.resolve(),
      onClose: () => left.resolve(),
    })
    const { channel } = channelTo(server)
    const outcome = channel.deliver(notificationOf('approval.requested'), attempt())
    await reached.promise
    channel.close()
    expect((await outcome).type).toBe('failed')
    await left.promise
    expect(server.open()).toBe(0)
  })
})
