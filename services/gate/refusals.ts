import { CountersignError, type ErrorCode } from '../../lib/core/errors.ts'

const WORDS = {
  denied: ['approval_denied', 'An approver denied this call. Do not try it again.'],
  expired: ['approval_expired', 'Nobody decided in time: the request expired. It was not denied.'],
  cancelled: ['approval_cancelled', 'The request was withdrawn.'],
} as const

interface Refused {
  id: string
  expiresAt: number
  reason: string | null
}

/** The refusal of a call whose approval came to this end. */
export const refusedAs = (outcome: keyof typeof WORDS, approval: Refused): CountersignError =>
  refused(WORDS[outcome][0], approval, WORDS[outcome][1])

/** The reason is a person's untrusted text: it has a field of its own and is never part of our words. */
export function refused(code: ErrorCode, { id, expiresAt, reason }: Refused, detail: string): CountersignError {
  return new CountersignError(code, {
    detail,
    approvalId: id,
    expiresAt: new Date(expiresAt).toISOString(),
    ...(reason === null ? {} : { reason }),
  })
}

export const isCode = (error: unknown, code: ErrorCode): boolean =>
  error instanceof CountersignError && error.code === code
