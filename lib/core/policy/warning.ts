import type { Warning } from './policy.ts'

/** When a timeout's warning is due, in milliseconds after it began; null where that is never. */
export function warnAfterMs(warn: Warning | null, timeoutMs: number): number | null {
  if (warn === null) return null
  const after = 'share' in warn ? Math.round(timeoutMs * warn.share) : timeoutMs - warn.beforeMs
  return after > 0 ? after : null
}
