import { Agent } from 'undici'
import { isJsonObject, type Json } from '../../core/canonical-json.ts'
import type { Opinion } from '../../core/policy/opinion.ts'
import type { ExternalEvaluator } from '../../core/policy/policy.ts'
import { parseStrictJson } from '../../core/strict-json.ts'
import { webhookHeaders } from '../../core/webhook-signature.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EvaluationInput, Evaluator } from '../../ports/evaluator.ts'

const MAX_ANSWER_BYTES = 16 * 1024
const MAX_REASON = 2_000
const CONNECTIONS = 32

export interface HttpEvaluators {
  of(settings: ExternalEvaluator): Evaluator
  close(): Promise<void>
}

/**
 * Evaluators over HTTP: one POST with what approvers see, one JSON answer `{opinion, reason?, edits?}`. Redirects are not
 * followed, and what is late, long or not understood is no answer.
 */
export function createHttpEvaluators(deps: {
  clock: Clock
  newId: () => string
  /** The key behind the name of an environment variable; undefined when there is none that can sign. */
  keyOf: (variable: string) => Buffer | undefined
}): HttpEvaluators {
  const { clock, newId, keyOf } = deps
  const dispatcher = new Agent({
    connections: CONNECTIONS,
    maxResponseSize: MAX_ANSWER_BYTES,
    // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    connect: { rejectUnauthorized: true },
  })

  async function ask(settings: ExternalEvaluator, input: EvaluationInput, signal: AbortSignal): Promise<Opinion> {
    const at = clock.now()
    const body = JSON.stringify({
      type: 'evaluation.requested',
      timestamp: new Date(at).toISOString(),
      data: { evaluator: settings.id, ...input },
    })
    const key = settings.secret === null ? undefined : keyOf(settings.secret)
    if (settings.secret !== null && !key) return failed(`${settings.secret} holds no secret to sign with`)
    const url = new URL(settings.url)
    const id = `evl_${newId()}`
    const { statusCode, body: stream } = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(key ? webhookHeaders(key, { id, at, body }) : { 'webhook-id': id }),
      },
      body,
      signal,
      headersTimeout: settings.timeoutMs,
      bodyTimeout: settings.timeoutMs,
    })
    const text = await stream.text()
    return statusCode === 200 ? readOpinion(text) : failed(`it answered with the status ${statusCode}`)
  }

  return {
    of: (settings) => ({
      async evaluate(input, signal) {
        const deadline = AbortSignal.timeout(settings.timeoutMs)
        try {
          return await ask(settings, input, AbortSignal.any([signal, deadline]))
        } catch (error) {
          if (signal.aborted) return failed('the caller left')
          return failed(deadline.aborted ? `nothing came within ${settings.timeoutMs} ms` : reasonOf(error))
        }
      },
    }),
    close: () => dispatcher.close(),
  }
}

const failed = (reason: string): Opinion => ({ type: 'failed', reason })

/** Without the error's own words: they may hold what the evaluator sent. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'error'
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return `its answer is longer than ${MAX_ANSWER_BYTES} bytes`
  return code.includes('TIMEOUT') ? 'nothing came in time' : `it could not be reached (${code})`
}

const NONSENSE = 'its answer is not understood'

/** Nothing is taken from an answer that is not exactly what it should be. */
function readOpinion(text: string): Opinion {
  let answer: Json
  try {
    answer = parseStrictJson(text, { maxDepth: 32 })
  } catch {
    return failed(NONSENSE)
  }
  if (!isJsonObject(answer)) return failed(NONSENSE)
  const { opinion, reason = null, edits, ...others } = answer
  if (Object.keys(others).length > 0 || !isReason(reason)) return failed(NONSENSE)
  if (opinion === 'suggest') return isJsonObject(edits) ? { type: opinion, edits, reason } : failed(NONSENSE)
  if (edits !== undefined) return failed(NONSENSE)
  if (opinion === 'approve' || opinion === 'deny' || opinion === 'escalate') return { type: opinion, reason }
  return failed(NONSENSE)
}

const isReason = (value: Json): value is string | null =>
  value === null || (typeof value === 'string' && value.length <= MAX_REASON)
