import { createTransport } from 'nodemailer'
import type { AttemptOutcome, Channel, ChannelDeps } from '../../ports/channel.ts'
import { type Mailbox, mailOf } from './message.ts'

export interface EmailSettings {
  id: string
  smtp: {
    host: string
    port: number
    /** TLS from the start, by STARTTLS or not at all; certificates are always verified. */
    security: 'tls' | 'starttls' | 'none'
    login: { user: string; password: string } | undefined
    /** Authorities to trust in place of the system's, as PEM. */
    ca: string | undefined
  }
  from: Mailbox
  /** Addresses; all of them get one mail together. */
  to: readonly string[]
}

const CONNECTIONS = 4
const MAILS_PER_CONNECTION = 100
const CONNECT_MS = 10_000
const SILENCE_MS = 10_000

export interface EmailChannel extends Channel {
  /** Ends its connections; a mail on its way fails. */
  close(): void
}

/** Mails by SMTP, over a few connections that are kept. Links in them lead to the page; nothing in a mail decides. */
export function createEmailChannel(
  { id, smtp, from, to }: EmailSettings,
  deps: ChannelDeps & { log: { warn(message: string): void } },
): EmailChannel {
  const transport = createTransport({
    pool: true,
    host: smtp.host,
    port: smtp.port,
    secure: smtp.security === 'tls',
    requireTLS: smtp.security === 'starttls',
    ignoreTLS: smtp.security === 'none',
    // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    tls: { minVersion: 'TLSv1.2', rejectUnauthorized: true, ...(smtp.ca === undefined ? {} : { ca: smtp.ca }) },
    ...(smtp.login === undefined ? {} : { auth: { user: smtp.login.user, pass: smtp.login.password } }),
    maxConnections: CONNECTIONS,
    maxMessages: MAILS_PER_CONNECTION,
    // A connection that broke is tried once more; the rest is for those who schedule attempts.
    maxRequeues: 1,
    connectionTimeout: CONNECT_MS,
    dnsTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    socketCloseTimeout: 0,
  })

  return {
    id,
    tenant: deps.tenant,
    wants: deps.wants,
    async deliver(notification, { receipt, signal }) {
      const link = deps.linkTo(notification.approval.id)
      try {
        const sent = await transport.sendMail({
          ...mailOf(notification, { from, to, link, threadId: receipt }),
          signal,
        })
        const refused = sent.rejected?.length ?? 0
        if (refused > 0) deps.log.warn(`${id}: the mail server refused ${refused} of ${to.length} recipients`)
        const isFirst = notification.type === 'approval.requested'
        // Some servers give a mail an id of their own.
        const threadId = sent.serverMessageId
        return {
          type: 'delivered',
          status: 250,
          ...(isFirst && isMessageId(threadId) ? { receipt: threadId } : {}),
        }
      } catch (error) {
        return failureOf(error, signal)
      }
    },
    close: () => transport.close({ force: true }),
  }
}

const isMessageId = (text: string | undefined): text is string =>
  text !== undefined && /^<[\x21-\x3b=\x3f-\x7e]{1,250}>$/.test(text)

const REASONS: Record<string, string> = {
  EAUTH: 'the mail server refused the login',
  ENOAUTH: 'the mail server asks for a login',
  ECONNECTION: 'the connection to the mail server broke',
  EDNS: 'the mail server has no address',
  ESOCKET: 'the mail server could not be reached, or its certificate is not trusted',
  ETLS: 'the mail server offers no TLS that can be trusted',
  ETIMEDOUT: 'the mail server did not answer in time',
  EENVELOPE: 'the mail server refused the sender or every recipient',
  EMESSAGE: 'the mail server refused the mail',
}

/**
 * Without the server's own words: they may hold addresses. What it says for good (5yz, RFC 5321 4.2.1) about this mail is
 * final; a login can be mended.
 */
function failureOf(error: unknown, signal: AbortSignal): AttemptOutcome {
  if (signal.aborted) return { type: 'failed', detail: 'the attempt was ended' }
  const { code = '', responseCode } = (error instanceof Error ? error : {}) as { code?: string; responseCode?: number }
  const status = responseCode === undefined ? {} : { status: responseCode }
  const reason = REASONS[code] ?? `the mail was not sent (${/^[A-Z0-9_]{1,40}$/.test(code) ? code : 'error'})`
  const detail = responseCode === undefined ? reason : `${reason} (${responseCode})`
  const isFinal = (code === 'EENVELOPE' || code === 'EMESSAGE') && responseCode !== undefined && responseCode >= 500
  return { type: isFinal ? 'rejected' : 'failed', detail, ...status }
}
