import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { onTestFinished } from 'vitest'
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from './loopback-certificate.ts'

/** A mail as it came over the wire, taken apart. */
export interface ReceivedMail {
  sender: string
  recipients: string[]
  /** Names in lower case, values unfolded and decoded. */
  headers: Map<string, string>
  /** The header as it was on the wire. */
  rawHead: string
  text: string
  html: string
  secure: boolean
  user: string | undefined
}

export interface MailServer {
  port: number
  mails: ReceivedMail[]
  /** What becomes of the next commands; each throws or rejects with a `responseCode` to refuse. */
  refuse: { sender?: number; recipient?: (address: string) => number | undefined; data?: number; login?: number }
  /** How many connections were opened. */
  connections: number
  open(): number
  mail(count: number): Promise<ReceivedMail>
}

/** A real SMTP server on loopback, ended with the test; without TLS and logins unless `options` say otherwise. */
export async function startMailServer(options: SMTPServerOptions = {}): Promise<MailServer> {
  const waiting = new Set<() => void>()
  const refusal = (code: number) => Object.assign(new Error('refused by order'), { responseCode: code })
  const smtp = new SMTPServer({
    key: LOOPBACK_KEY,
    cert: LOOPBACK_CERTIFICATE,
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    closeTimeout: 100,
    onConnect(_session, done) {
      started.connections++
      done()
    },
    onAuth({ username, password }, _session, done) {
      const { login } = started.refuse
      if (login !== undefined || password !== 'right') return done(refusal(login ?? 535))
      done(null, { user: username })
    },
    onMailFrom(_address, _session, done) {
      const { sender } = started.refuse
      done(sender === undefined ? null : refusal(sender))
    },
    onRcptTo({ address }, _session, done) {
      const code = started.refuse.recipient?.(address)
      done(code === undefined ? null : refusal(code))
    },
    onData(stream, { envelope, secure, user }, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const { data } = started.refuse
        if (data !== undefined) return done(refusal(data))
        started.mails.push({
          sender: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
          recipients: envelope.rcptTo.map(({ address }) => address),
          ...partsOf(Buffer.concat(chunks).toString('utf8')),
          secure,
          user,
        })
        done()
        for (const wake of waiting) wake()
      })
    },
    ...options,
  })
  // Clients that end a handshake are what some tests are about.
  smtp.on('error', () => {})
  const started: MailServer = {
    port: 0,
    mails: [],
    refuse: {},
    connections: 0,
    open: () => smtp.connections.size,
    async mail(count) {
      while (started.mails.length < count)
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake)
            resolve()
          }
          waiting.add(wake)
        })
      return started.mails[count - 1]!
    },
  }
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  started.port = (smtp.server.address() as AddressInfo).port
  onTestFinished(() => new Promise<void>((resolve) => smtp.close(() => resolve())))
  return started
}

function partsOf(raw: string): Pick<ReceivedMail, 'headers' | 'rawHead' | 'text' | 'html'> {
  const { head, body, headers } = split(raw)
  const boundary = /boundary="([^"]+)"/.exec(headers.get('content-type') ?? '')?.[1]
  const parts = boundary === undefined ? [raw] : body.split(`--${boundary}`).slice(1, -1)
  const found = (type: string) => {
    const part = parts.map((each) => split(each.replace(/^\r\n/, ''))).find((each) => each.type.startsWith(type))
    return part === undefined ? '' : decoded(part.body, part.headers.get('content-transfer-encoding') ?? '')
  }
  return { headers, rawHead: head, text: found('text/plain'), html: found('text/html') }
}

function split(raw: string) {
  const end = raw.indexOf('\r\n\r\n')
  const head = raw.slice(0, end)
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), words(line.slice(colon + 1).trim())]
    }),
  )
  return { head, headers, body: raw.slice(end + 4), type: headers.get('content-type') ?? '' }
}

/** Encoded words (RFC 2047); the room between two of them is nothing. */
const words = (value: string): string =>
  value
    .replace(/(=\?[^?]+\?[BQ]\?[^?]*\?=)\s+(?==\?)/gi, '$1')
    .replace(/=\?utf-8\?([BQ])\?([^?]*)\?=/gi, (_, kind: string, text: string) =>
      kind.toUpperCase() === 'B'
        ? Buffer.from(text, 'base64').toString('utf8')
        : quotedPrintable(text.replaceAll('_', ' ')),
    )

const quotedPrintable = (text: string): string =>
  Buffer.from(
    text
      .replace(/=\r\n/g, '')
      .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString('utf8')

function decoded(body: string, encoding: string): string {
  const text =
    encoding === 'base64'
      ? Buffer.from(body, 'base64').toString('utf8')
      : encoding === 'quoted-printable'
        ? quotedPrintable(body)
        : body
  return text.replaceAll('\r\n', '\n')
}
