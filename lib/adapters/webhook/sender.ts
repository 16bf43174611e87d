import { Agent, type Dispatcher } from 'undici'
import { standardRetryAfterMs } from '../../core/retry-after.ts'
import { webhookHeaders, webhookKey } from '../../core/webhook-signature.ts'
import type { AttemptOutcome } from '../../ports/channel.ts'
import type { Clock } from '../../ports/clock.ts'
import type { WebhookSender } from '../../ports/webhook-sender.ts'
import { AddressRefusedError, guardedConnector, refusalOf } from './address-guard.ts'

/** An answer is read this far, and only so that the connection can be used again. */
const MAX_ANSWER_BYTES = 4 * 1024
const MAX_HEADER_BYTES = 8 * 1024
/** How long a body may take after its status is known. */
const BODY_MS = 1_000
/** The caller's signal ends an attempt earlier. */
const LONGEST_ANSWER_MS = 60_000

/** Webhooks over HTTP/1.1, behind the guard of address-guard.ts. TLS certificates are verified, always. */
export function createWebhookSender(deps: {
  /** Networks (CIDR) or addresses that are private and may be reached all the same. */
  allowPrivate: readonly string[]
  /** `Countersign/1.2.3`. */
  userAgent: string
  clock: Clock
  lookup?: Parameters<typeof guardedConnector>[0]['lookup']
}): WebhookSender {
  const { allowPrivate, userAgent, clock, lookup } = deps
  const agent = new Agent({
    connect: guardedConnector({ allowPrivate, ...(lookup ? { lookup } : {}) }),
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: LONGEST_ANSWER_MS,
    bodyTimeout: BODY_MS,
  })

  return {
    async send({ url: text, id, at, body, secrets }, signal) {
      const keys = secrets.flatMap((secret) => webhookKey(secret) ?? [])
      if (keys.length === 0 || keys.length < secrets.length)
        return { type: 'failed', detail: 'a secret of this endpoint cannot sign' }
      if (!URL.canParse(text)) return { type: 'failed', detail: 'its URL is none' }
      const url = new URL(text)
      if (url.protocol !== 'https:' && url.protocol !== 'http:')
        return { type: 'failed', detail: 'its URL is neither https:// nor http://' }
      try {
        const answer = await agent.request({
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'user-agent': userAgent,
            ...webhookHeaders(keys, { id, at, body }),
          },
          body,
          signal,
        })
        await forget(answer)
        return outcomeOf(answer, clock.now())
      } catch (error) {
        return { type: 'failed', detail: signal.aborted ? 'no answer came in time' : reasonOf(error) }
      }
    },
    refusal: (url) => refusalOf(url, allowPrivate),
    close: () => agent.destroy(),
  }
}

/** What it says is of no use here; a long or slow answer costs its connection. */
async function forget({ body }: Dispatcher.ResponseData): Promise<void> {
  await body.dump({ limit: MAX_ANSWER_BYTES, signal: AbortSignal.timeout(BODY_MS) }).catch(() => {})
}

function outcomeOf({ statusCode: status, headers }: Dispatcher.ResponseData, now: number): AttemptOutcome {
  if (status >= 200 && status < 300) return { type: 'delivered', status }
  if (status === 410) return { type: 'gone', detail: 'it answered with the status 410', status }
  if (status >= 300 && status < 400)
    return { type: 'failed', detail: `it answered with a redirect (${status}), and none is followed`, status }
  const wait = readRetryAfter(headers['retry-after'], now)
  const detail = `it answered with the status ${status}`
  return { type: 'failed', detail, status, ...(wait === undefined ? {} : { retryAfterMs: wait }) }
}

/** Undefined also for a header that came twice. */
export const readRetryAfter = (header: string | string[] | undefined, now: number): number | undefined =>
  typeof header === 'string' ? standardRetryAfterMs(header, now) : undefined

/** Without an error's own words: they may hold addresses of the network here. */
function reasonOf(error: unknown): string {
  if (error instanceof AddressRefusedError) return error.message
  if (error instanceof Error && error.name === 'HTTPParserError') return 'its answer is no HTTP'
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'error'
  if (code.includes('CERT') || code.includes('SIGNATURE') || code.includes('ALTNAME'))
    return `its certificate is not accepted (${code})`
  if (code.startsWith('UND_ERR_HEADERS_OVERFLOW')) return 'the head of its answer is too long'
  return code.includes('TIMEOUT') ? 'no answer came in time' : `it could not be reached (${code})`
}
