import type { Problem } from './types.ts'

/**
 * What the SDK throws. `code` is a code of docs/reference/errors.md (then `status` and `problem` are set), or one of
 * the SDK's own: `usage` (the call itself is wrong), `aborted` (by your signal; `cause` is its reason), `unreachable`
 * (no answer), `timeout` (no answer in time), `invalid_response` (an answer that no Countersign gives).
 */
export class CountersignClientError extends Error {
  readonly code: string
  readonly status: number | undefined
  readonly problem: Problem | undefined
  /** True when the same call may succeed later. */
  readonly retryable: boolean

  constructor(
    code: string,
    message: string,
    more: { status?: number; problem?: Problem; retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'CountersignClientError'
    this.code = code
    this.status = more.status
    this.problem = more.problem
    this.retryable = more.retryable ?? more.problem?.retryable ?? false
  }
}
