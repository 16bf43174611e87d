const S = 1_000
const M = 60 * S
const H = 60 * M

/** While people are asked, what is late is worth little: short steps, and the last of them until there is a decision. */
const ASKING = [2 * S, 5 * S, 15 * S, M, 5 * M] as const
/** What is decided stays so: long steps, and then it is given up. */
const TELLING = [5 * S, M, 5 * M, 30 * M, 2 * H, 8 * H, 24 * H] as const

const LONGEST_ASKING_RETRY_AFTER_MS = H
const LONGEST_TELLING_RETRY_AFTER_MS = 24 * H

/** Up to this share of a step is added, so that what failed together does not come back together. */
const JITTER = 0.2

/** What asks people to decide; it ends with the decision. */
export const ASKING_TYPES = ['approval.requested', 'approval.expiring', 'approval.escalated'] as const
export const isAsking = (type: string): boolean => ASKING_TYPES.some((each) => each === type)

/**
 * How long to wait before the next attempt, in milliseconds, after `attempts` of which the latest failed; undefined: no
 * more. What asks has a next attempt always, what tells has eight in all, a test one. A receiver's Retry-After (RFC 9110, 10.2.3)
 * makes it later, up to an hour for what asks and a day for what tells. `random` is from 0 to below 1.
 */
export function nextAttemptIn(failed: {
  type: string
  attempts: number
  retryAfterMs: number | undefined
  random: number
}): number | undefined {
  // Whoever tries an endpoint out looks at what came of it.
  if (failed.type === 'webhook.test') return undefined
  const asks = isAsking(failed.type)
  const ladder = asks ? ASKING : TELLING
  const step = ladder[failed.attempts - 1] ?? (asks ? ladder.at(-1) : undefined)
  if (step === undefined) return undefined
  const longest = asks ? LONGEST_ASKING_RETRY_AFTER_MS : LONGEST_TELLING_RETRY_AFTER_MS
  const wanted = Math.min(failed.retryAfterMs ?? 0, longest)
  return Math.round(Math.max(step, wanted) + step * JITTER * failed.random)
}
