/**
 * The one error table. A code is stable: scripts, agents and dashboards compare it.
 * `status` is the HTTP status, `rpc` the JSON-RPC error code, `exit` the exit code of the command line.
 * Every code is described in docs/reference/errors.md; a test holds the two together.
 */
interface ErrorKind {
  status: number
  rpc: number
  retryable: boolean
  exit: 1 | 2 | 3
  title: string
}

const kind = (status: number, title: string, more: Partial<ErrorKind> = {}): ErrorKind => ({
  status,
  rpc: -32001,
  retryable: false,
  exit: 1,
  title,
  ...more,
})

const badInput = { rpc: -32602, exit: 2 } as const
const unavailable = { rpc: -32002, retryable: true, exit: 3 } as const

export const ERRORS = {
  invalid_request: kind(400, 'The request is not valid', badInput),
  unauthenticated: kind(401, 'No valid credential was given', { exit: 2 }),
  forbidden: kind(403, 'This credential may not do that'),
  payload_too_large: kind(413, 'The body is too large', badInput),
  unsupported_media_type: kind(415, 'The media type is not supported', badInput),
  invalid_body: kind(422, 'The body is not valid', badInput),

  policy_denied: kind(403, 'Denied by policy'),
  approval_denied: kind(403, 'Denied by an approver'),
  approval_expired: kind(403, 'Nobody decided in time'),
  approval_cancelled: kind(403, 'The approval was cancelled'),
  no_decision: kind(403, 'The deadline passed and the record could not be read', { retryable: true }),

  approval_pending: kind(409, 'Nobody has decided yet', { rpc: -32003, retryable: true }),
  approval_not_found: kind(404, 'No such approval'),
  webhook_not_found: kind(404, 'No such webhook'),
  delivery_not_found: kind(404, 'No such delivery'),
  not_found: kind(404, 'No such route', { exit: 2 }),

  already_used: kind(409, 'The approval was used already'),
  already_decided: kind(409, 'The approval was decided already'),
  already_voted: kind(409, 'You have voted already'),

  webhook_read_only: kind(409, 'The configuration lists this webhook'),
  webhook_disabled: kind(409, 'The webhook is switched off'),
  too_many_webhooks: kind(409, 'The tenant has too many webhooks'),

  self_approval: kind(403, 'Nobody decides on their own request'),
  not_an_approver: kind(403, 'You are not an approver of this request'),

  idempotency_key_reused: kind(422, 'The Idempotency-Key was used for another call', badInput),
  reason_required: kind(422, 'This decision needs a reason', badInput),
  edits_not_allowed: kind(422, 'The arguments of this approval cannot be edited', badInput),

  rate_limited: kind(429, 'Too many requests', { ...unavailable, exit: 1 }),
  too_many_holds: kind(429, 'Too many calls are held', { ...unavailable, exit: 1 }),

  internal_error: kind(500, 'Something went wrong here', { exit: 3 }),
  upstream_unreachable: kind(502, 'The upstream could not be reached', unavailable),
  upstream_failed: kind(502, 'The upstream has the call, and gave no answer', { rpc: -32002, exit: 3 }),
  bus_unavailable: kind(503, 'The event bus is away', unavailable),
  decider_unavailable: kind(503, 'The decider is away', unavailable),
  shutting_down: kind(503, 'This process is shutting down', unavailable),
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

/** Some codes mean something slightly different to a person who decides than to the agent that asked. */
const APPROVER_STATUS: Partial<Record<ErrorCode, number>> = { approval_expired: 409, approval_cancelled: 409 }

export interface ProblemDetails {
  detail?: string
  approvalId?: string
  expiresAt?: string
  /** Seconds, for the `Retry-After` header. */
  retryAfter?: number
  errors?: { path: string; message: string }[]
  /** The record as it stands, for a decision that came too late. */
  approval?: unknown
  reason?: string
}

/**
 * The error that every part throws and every surface renders.
 * `detail` is written for the caller: it never holds a secret and never a stack.
 */
export class CountersignError extends Error {
  readonly code: ErrorCode
  readonly details: ProblemDetails
  constructor(code: ErrorCode, details: ProblemDetails | string = {}, options?: ErrorOptions) {
    const shaped = typeof details === 'string' ? { detail: details } : details
    super(shaped.detail ?? ERRORS[code].title, options)
    this.name = 'CountersignError'
    this.code = code
    this.details = shaped
  }
}

export type Audience = 'agent' | 'approver'

/** Problem details (RFC 9457) for a code: the body of every error answer. */
export function problem(code: ErrorCode, details: ProblemDetails, audience: Audience, traceId?: string) {
  const { status, title, retryable } = ERRORS[code]
  const { retryAfter: _, ...rest } = details
  return {
    type: `urn:countersign:problem:${code.replaceAll('_', '-')}`,
    title,
    status: audience === 'approver' ? (APPROVER_STATUS[code] ?? status) : status,
    code,
    retryable,
    ...rest,
    ...(traceId === undefined ? {} : { traceId }),
  }
}
export type Problem = ReturnType<typeof problem>
