import { Agent } from 'undici'
import type { Json } from '../../core/canonical-json.ts'
import { retryAfterMs } from '../../core/retry-after.ts'
import type { AttemptOutcome } from '../../ports/channel.ts'
import type { Clock } from '../../ports/clock.ts'
import type { JsonSender } from '../../ports/json-sender.ts'

const MAX_ANSWER_BYTES = 64 * 1024
const CONNECTIONS = 4
const TIMEOUT_MS = 10_000

/** The request itself is at fault: it will be so at every try. */
const NEVER = new Set([400, 413, 415, 422])

/** At most four connections to each service; an answer that is late or long is a failure. */
export function createJsonSender({ clock }: { clock: Clock }): { send: JsonSender; close(): Promise<void> } {
  const dispatcher = new Agent({
    connections: CONNECTIONS,
    maxResponseSize: MAX_ANSWER_BYTES,
    // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    connect: { timeout: TIMEOUT_MS, rejectUnauthorized: true },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  })
  return {
    async send({ method, url, headers = {}, body }, signal) {
      const deadline = AbortSignal.timeout(TIMEOUT_MS)
      try {
        const { origin, pathname, search } = new URL(url)
        const answer = await dispatcher.request({
          origin,
          path: pathname + search,
          method,
          headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
          body: JSON.stringify(body),
          signal: AbortSignal.any([signal, deadline]),
        })
        const text = await answer.body.text()
        const { statusCode: status } = answer
        const wait = answer.headers['retry-after']
        const retryAfter = retryAfterMs(typeof wait === 'string' ? wait : undefined, clock.now())
        return { outcome: outcomeOf(status, retryAfter), body: parsed(text) }
      } catch (error) {
        return { outcome: { type: 'failed', detail: reasonOf(error, signal, deadline) }, body: undefined }
      }
    },
    close: () => dispatcher.close(),
  }
}

function outcomeOf(status: number, retryAfter: number | undefined): AttemptOutcome {
  if (status >= 200 && status < 300) return { type: 'delivered', status }
  if (status === 410) return { type: 'gone', status, detail: 'the service says that this address is gone for good' }
  if (NEVER.has(status)) return { type: 'rejected', status, detail: `the service refused the message (${status})` }
  const detail =
    status >= 300 && status < 400
      ? `the service redirects (${status}), which is not followed`
      : `the service answered with the status ${status}`
  return { type: 'failed', status, detail, ...(retryAfter === undefined ? {} : { retryAfterMs: retryAfter }) }
}

/** Without the error's own words: they may hold the address. */
function reasonOf(error: unknown, signal: AbortSignal, deadline: AbortSignal): string {
  if (signal.aborted) return 'the attempt was ended'
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'error'
  if (deadline.aborted || code.includes('TIMEOUT')) return `the service did not answer within ${TIMEOUT_MS / 1000} s`
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return 'the answer of the service is too long'
  return `the service could not be reached (${code})`
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
