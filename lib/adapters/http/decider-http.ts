import { Pool } from 'undici'
import { CountersignError, ERRORS, type ErrorCode, type ProblemDetails } from '../../core/errors.ts'

/** An answer later than this is no answer. The decider itself waits a second for a request that is on its way. */
const ANSWER_MS = 5_000
const CONNECT_MS = 1_000
const CONNECTIONS = 128

/** One caller of a decider in another process. */
export interface DeciderHttp {
  /**
   * Sends a body and resolves with the answer's. Rejects with the CountersignError that the decider answered, or
   * with `decider_unavailable` when it does not answer, or answers what is no problem of ours.
   */
  call<T>(path: string, body: unknown): Promise<T>
  close(): Promise<void>
}

/** `serviceKey` proves to the decider that a service asks. */
export function createDeciderHttp({ url, serviceKey }: { url: string; serviceKey: string }): DeciderHttp {
  const pool = new Pool(url, {
    connections: CONNECTIONS,
    headersTimeout: ANSWER_MS,
    bodyTimeout: ANSWER_MS,
    // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    connect: { timeout: CONNECT_MS, rejectUnauthorized: true },
  })
  const headers = { authorization: `Bearer ${serviceKey}`, 'content-type': 'application/json' }
  return {
    async call<T>(path: string, body: unknown): Promise<T> {
      let status: number
      let answer: unknown
      try {
        const response = await pool.request({ path, method: 'POST', headers, body: JSON.stringify(body) })
        status = response.statusCode
        answer = status === 204 ? undefined : await response.body.json()
      } catch (error) {
        throw new CountersignError('decider_unavailable', 'The decider does not answer.', { cause: error })
      }
      if (status < 300) return answer as T
      throw asError(status, answer)
    },
    close: () => pool.close(),
  }
}

/** The decider's refusal as the error that it was there; our own credential failing is a fault of the fleet. */
function asError(status: number, answer: unknown): CountersignError {
  const { code, ...rest } = (typeof answer === 'object' && answer !== null ? answer : {}) as ProblemDetails & {
    code?: string
  }
  if (code === undefined || !isCode(code) || code === 'unauthenticated' || code === 'forbidden')
    return new CountersignError('decider_unavailable', `The decider refused this service (${status}).`)
  const { detail, approvalId, expiresAt, errors, approval, reason, retryAfter } = rest
  const known = { detail, approvalId, expiresAt, errors, approval, reason, retryAfter }
  const given = Object.entries(known).filter(([, value]) => value !== undefined)
  return new CountersignError(code, Object.fromEntries(given) as ProblemDetails)
}

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)
