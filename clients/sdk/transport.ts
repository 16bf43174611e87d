import { CountersignClientError } from './client-error.ts'
import { backoff, retryAfterMs, sleep } from './sleep.ts'
import type { Problem } from './types.ts'

export interface ClientOptions {
  /** Where Countersign is, such as `http://127.0.0.1:4100`; in a page that it serves, `''`. */
  url: string
  /** Agent key (`csk_…`) or approver token (`cst_…`); a page with a session cookie needs none. */
  key?: string
  fetch?: typeof globalThis.fetch
  /** What `fetch` does with cookies. */
  credentials?: 'omit' | 'same-origin' | 'include'
  /** How long failures in a row (network, 429, 502, 503, 504) are retried, in ms. Default 120000; 0: never. */
  retryForMs?: number
}

export interface Answer {
  status: number
  headers: Headers
  /** The parsed body; undefined when there is none. */
  body: unknown
  /** How long the answer took. */
  elapsedMs: number
}

export interface SendOptions {
  /** JSON text. */
  body?: string
  headers?: Record<string, string>
  signal?: AbortSignal
  /** Limit of one attempt. */
  timeoutMs?: number
}

/** No proxy on the way waits longer than 60 s for an answer; what takes longer is asked in pieces. */
export const PIECE_MS = 58_000
export const PIECE_WAIT_SECONDS = 50
const DEFAULT_RETRY_FOR_MS = 120_000
const RETRIED = new Set([429, 502, 503, 504])

export type Transport = ReturnType<typeof createTransport>

export function createTransport(options: ClientOptions) {
  const base = options.url.replace(/\/+$/, '')
  if (base !== '' && !/^https?:\/\/[^/]/.test(base))
    throw new CountersignClientError('usage', `url: expected http://… or https://…, got ${JSON.stringify(options.url)}`)
  const retryForMs = options.retryForMs ?? DEFAULT_RETRY_FOR_MS

  /**
   * One attempt. Resolves with whatever the server answered; rejects with `unreachable`, `timeout` (both retryable),
   * `aborted` or `usage`.
   */
  async function send(method: string, path: string, more: SendOptions = {}): Promise<Answer> {
    const { signal, timeoutMs = PIECE_MS } = more
    throwIfAborted(signal)
    const init = requestInit(method, more)
    const attempt = new AbortController()
    const abort = () => attempt.abort()
    signal?.addEventListener('abort', abort)
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      attempt.abort()
    }, timeoutMs)
    const started = performance.now()
    try {
      // Looked up at each call: a page or a test may replace the global.
      const response = await (options.fetch ?? globalThis.fetch)(base + path, { ...init, signal: attempt.signal })
      const text = await response.text()
      const { status, headers } = response
      return { status, headers, body: parse(text, response), elapsedMs: performance.now() - started }
    } catch (cause) {
      if (cause instanceof CountersignClientError) throw cause
      throwIfAborted(signal)
      const where = base === '' ? 'the server' : base
      if (timedOut)
        throw new CountersignClientError('timeout', `No answer from ${where} in time`, { retryable: true, cause })
      throw new CountersignClientError('unreachable', `Could not reach ${where}: ${reasonOf(cause)}`, {
        retryable: true,
        cause,
      })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  function requestInit(method: string, { body, headers }: SendOptions): RequestInit {
    try {
      // Built apart from fetch: a bad character in a header is a mistake, not an outage.
      return {
        method,
        headers: new Headers({
          accept: 'application/json, application/problem+json',
          ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        }),
        ...(body === undefined ? {} : { body }),
        ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
      }
    } catch {
      throw new CountersignClientError('usage', 'The key, idempotencyKey or approvalId has characters no header takes')
    }
  }

  /** The body of a 2xx answer. Retries what a retry may mend; every other answer rejects with its problem. */
  async function call(method: string, path: string, more: SendOptions = {}): Promise<unknown> {
    const streak = createStreak(retryForMs)
    while (true) {
      let error: unknown
      let after: number | undefined
      try {
        const answer = await send(method, path, more)
        if (answer.status >= 200 && answer.status < 300) return answer.body
        error = errorOf(answer)
        after = retryAfterOf(answer)
      } catch (failure) {
        error = failure
      }
      const delay = isPassing(error) ? streak.next(after) : undefined
      if (delay === undefined) throw error
      await sleep(delay, more.signal)
      throwIfAborted(more.signal)
    }
  }

  return { send, call, retryForMs }
}

/** Failures in a row: `next` is the pause before the next attempt, or undefined when it is time to give up. */
export function createStreak(limitMs: number) {
  let failures = 0
  let since = 0
  return {
    next(after?: number): number | undefined {
      if (failures === 0) since = performance.now()
      failures += 1
      const delay = backoff(failures, after)
      return performance.now() - since + delay > limitMs ? undefined : delay
    },
    end() {
      failures = 0
    },
  }
}

export const retryAfterOf = (answer: Answer): number | undefined =>
  retryAfterMs(answer.headers.get('retry-after'), Date.now())

/** True for a failure that passes by itself: nothing was done, and the same request is safe to send again. */
export const isPassing = (error: unknown): error is CountersignClientError =>
  error instanceof CountersignClientError &&
  (error.status === undefined ? error.code === 'unreachable' || error.code === 'timeout' : RETRIED.has(error.status))

export function throwIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted) throw new CountersignClientError('aborted', 'Aborted by the caller', { cause: signal.reason })
}

const CODES: Record<number, string> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  429: 'rate_limited',
}

/** The error that an answer outside 2xx stands for. */
export function errorOf({ status, body }: Answer): CountersignClientError {
  const problem = isProblem(body) ? body : undefined
  const code = problem?.code ?? CODES[status] ?? 'invalid_response'
  const fields = problem?.errors?.map(({ path, message }) => `${path}: ${message}`) ?? []
  const text = [problem?.detail ?? problem?.title ?? `The server answered ${status}`, ...fields].join('\n  ')
  return new CountersignClientError(code, text, {
    status,
    ...(problem ? { problem } : {}),
    retryable: problem?.retryable ?? RETRIED.has(status),
  })
}

const isProblem = (body: unknown): body is Problem =>
  typeof body === 'object' && body !== null && 'code' in body && typeof body.code === 'string'

/** A body that is no JSON is an answer of something else on the way: fatal under a 2xx, else the status speaks. */
function parse(text: string, response: Response): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    if (!response.ok) return undefined
    throw new CountersignClientError(
      'invalid_response',
      'The answer is not JSON: is this the address of Countersign?',
      {
        status: response.status,
      },
    )
  }
}

/** Node says only «fetch failed» and keeps why in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (cause instanceof Error) return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message
  return error.message
}
