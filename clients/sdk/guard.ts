import { CountersignClientError } from './client-error.ts'
import { assertPlainJson, sameJson } from './plain-json.ts'
import { sleep } from './sleep.ts'
import {
  type Answer,
  createStreak,
  errorOf,
  isPassing,
  PIECE_MS,
  PIECE_WAIT_SECONDS,
  retryAfterOf,
  type Transport,
  throwIfAborted,
} from './transport.ts'
import type { ActorView, ReportedOutcome, Risk } from './types.ts'

/** What the call says of itself. It may make the rules stricter, never looser. */
export interface ActionContext {
  session?: string
  user?: string
  summary?: string
  risk?: Risk
  labels?: string[]
  /** The level of this session: `full`, `semi`, `supervised`, `locked`. It holds where it is tighter than the agent's. */
  autonomy?: 'full' | 'semi' | 'supervised' | 'locked'
}

/** A call that a person is being asked about. Keep `approvalId` if the process may restart meanwhile. */
export interface Pending {
  approvalId: string
  /** RFC 3339 UTC. */
  expiresAt: string
  summary: string
}

export interface GuardOptions {
  context?: ActionContext
  /** Calls with the same key and arguments are one call. Default: a fresh one per guard. */
  idempotencyKey?: string
  /** Goes on with an approval that an earlier process asked for. */
  approvalId?: string
  /** Stops waiting: guard rejects with `aborted`, and the approval stays pending until it expires or is withdrawn. */
  signal?: AbortSignal
  /** Waits no longer than this in all; then it is a retryable denial. Default: until the approval expires. */
  timeoutMs?: number
  /** Called once, as soon as a person is asked. */
  onPending?(pending: Pending): void
}

/** Run the action with `args`, and report what came of it. */
export interface Allowed<A extends object = object> {
  effect: 'allow'
  /** Absent when a rule allowed the call without asking. */
  approvalId?: string
  /** What was approved: run with these. */
  args: A
  /** True when a person changed the arguments. */
  edited: boolean
  decidedBy?: ActorView[]
  /** Untrusted text of a person. */
  reason?: string
  /** True when this allow was given before, to an earlier attempt with the same key. */
  replayed?: boolean
  /**
   * Tells the record what happened, once; resolves at once when nobody was asked. Without a report the outcome is
   * recorded as unknown after 10 minutes.
   */
  report(outcome: ReportedOutcome, detail?: string): Promise<void>
}

/** Do not run the action. */
export interface Denied {
  effect: 'deny'
  /**
   * `policy_denied`, `approval_denied`, `approval_expired`, `approval_cancelled`, `no_decision`, `already_used`; or
   * why no answer was to be had within the limits: `unreachable`, `timeout`, or the server's code.
   */
  code: string
  detail: string
  approvalId?: string
  /** Untrusted text of a person. */
  reason?: string
  /** True when asking again (with the same approvalId or key) may lead to another answer. */
  retryable: boolean
}

export type GuardResult<A extends object = object> = Allowed<A> | Denied

const DENIALS = new Set([
  'policy_denied',
  'approval_denied',
  'approval_expired',
  'approval_cancelled',
  'no_decision',
  'already_used',
])

/** Where a server does not say how soon to ask again. */
const DEFAULT_RETRY_AFTER_MS = 1000

/**
 * Asks whether the call may run, and waits until there is an answer. A denial is a value. Rejects with
 * CountersignClientError for a wrong call, a wrong credential, an abort, or an answer that cannot be understood.
 */
export async function guard<A extends object>(
  transport: Transport,
  tool: string,
  args: A,
  options: GuardOptions = {},
): Promise<GuardResult<A>> {
  assertPlainJson(args)
  const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options
  // Written once: every attempt must say the same, whatever the caller does with the object meanwhile.
  const body = JSON.stringify({ tool, args, ...(options.context === undefined ? {} : { context: options.context }) })
  const sent: unknown = (JSON.parse(body) as { args: unknown }).args
  const headers: Record<string, string> = {
    'idempotency-key': options.idempotencyKey ?? freshKey(),
    ...(options.approvalId === undefined ? {} : { 'countersign-approval': options.approvalId }),
  }
  const deadline = performance.now() + timeoutMs
  const streak = createStreak(timeoutMs === Number.POSITIVE_INFINITY ? transport.retryForMs : timeoutMs)
  let pending: Pending | undefined
  let failure: CountersignClientError | undefined

  while (true) {
    const remaining = deadline - performance.now()
    if (remaining <= 0) return failure ? denied(failure, pending) : outOfTime(pending)
    // Who wants to know that it pends wants to know now, and not when the first piece is over.
    const announcing = options.onPending !== undefined && pending === undefined
    const wait = announcing ? 0 : Math.min(PIECE_WAIT_SECONDS, Math.floor(remaining / 1000))
    const outcome = await transport
      .send('POST', '/v1/actions', {
        body,
        headers: { ...headers, prefer: `wait=${wait}` },
        timeoutMs: Math.min(PIECE_MS, remaining),
        ...(signal ? { signal } : {}),
      })
      .then(understood, (error: unknown) => ({ error, after: undefined }))

    if ('error' in outcome) {
      const { error, after } = outcome
      if (!(error instanceof CountersignClientError)) throw error
      if (DENIALS.has(error.code) && error.problem) return denied(error, pending)
      if (!isPassing(error)) throw error
      // This attempt was cut short by the caller's limit: the server did nothing wrong.
      if (error.code === 'timeout' && remaining < PIECE_MS) return outOfTime(pending)
      failure = error
      const delay = streak.next(after)
      if (delay === undefined) return denied(error, pending)
      await sleep(Math.min(delay, deadline - performance.now()), signal)
    } else if (outcome.status === 202) {
      streak.end()
      failure = undefined
      if (!pending) {
        pending = pendingOf(outcome)
        options.onPending?.(pending)
      }
      const pause = announcing ? 0 : (retryAfterOf(outcome) ?? DEFAULT_RETRY_AFTER_MS) - outcome.elapsedMs
      await sleep(Math.min(pause, deadline - performance.now()), signal)
    } else {
      return allowed<A>(transport, outcome, sent)
    }
    throwIfAborted(signal)
  }
}

const understood = (answer: Answer) =>
  answer.status === 200 || answer.status === 202 ? answer : { error: errorOf(answer), after: retryAfterOf(answer) }

function allowed<A extends object>(transport: Transport, { status, body }: Answer, sent: unknown): Allowed<A> {
  // Nothing but the exact word opens the door: any page may answer 200.
  if (!isObject(body) || body.effect !== 'allow' || !isObject(body.args)) throw strange(status)
  const { approvalId, use, args, decidedBy, reason, replayed } = body
  const id = typeof approvalId === 'string' ? approvalId : undefined
  return {
    effect: 'allow',
    ...(id === undefined ? {} : { approvalId: id }),
    args: args as A,
    edited: !sameJson(sent, args),
    ...(Array.isArray(decidedBy) ? { decidedBy: decidedBy as ActorView[] } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(replayed === true ? { replayed } : {}),
    async report(outcome, detail) {
      if (id === undefined) return
      const report = JSON.stringify({
        status: outcome,
        ...(typeof use === 'number' ? { use } : {}),
        ...(detail === undefined ? {} : { detail }),
      })
      await transport.call('POST', `/v1/actions/${encodeURIComponent(id)}/outcome`, { body: report })
    },
  }
}

function pendingOf({ status, body }: Answer): Pending {
  if (!isObject(body) || typeof body.approvalId !== 'string') throw strange(status)
  const { approvalId, expiresAt, summary } = body
  return { approvalId, expiresAt: String(expiresAt), summary: String(summary) }
}

function denied(error: CountersignClientError, pending: Pending | undefined): Denied {
  const approvalId = error.problem?.approvalId ?? pending?.approvalId
  const reason = error.problem?.reason
  return {
    effect: 'deny',
    code: error.code,
    detail: error.message,
    ...(approvalId === undefined ? {} : { approvalId }),
    ...(reason === undefined ? {} : { reason }),
    retryable: error.retryable,
  }
}

const outOfTime = (pending: Pending | undefined): Denied => ({
  effect: 'deny',
  code: pending ? 'no_decision' : 'timeout',
  detail: pending
    ? 'No decision within timeoutMs. The approval is still open: ask again with its approvalId.'
    : 'No answer within timeoutMs.',
  ...(pending ? { approvalId: pending.approvalId } : {}),
  retryable: true,
})

const strange = (status: number) =>
  new CountersignClientError('invalid_response', 'The answer is not one of Countersign: is the address right?', {
    status,
  })

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Not `randomUUID`: pages served over plain HTTP do not have it. */
const freshKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
