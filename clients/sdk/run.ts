import type { Allowed } from './guard.ts'
import type { ReportedOutcome } from './types.ts'

/**
 * Runs what was allowed and reports what came of it. Resolves with its value, and whether the report arrived; rethrows
 * its error, which is `failed` unless `outcomeOf` knows better.
 */
export async function runAllowed<R>(
  allowed: Allowed,
  run: () => R | PromiseLike<R>,
  outcomeOf: (error: unknown) => ReportedOutcome = () => 'failed',
): Promise<{ value: R; reported: boolean }> {
  let value: R
  try {
    value = await run()
  } catch (error) {
    await report(allowed, outcomeOf(error), error)
    throw error
  }
  return { value, reported: await report(allowed, 'executed') }
}

/**
 * True when the report arrived. Never rejects: what ran has run, and a report that fails must take neither its value
 * nor its error away.
 */
export async function report(allowed: Allowed, outcome: ReportedOutcome, error?: unknown): Promise<boolean> {
  try {
    await allowed.report(outcome, error === undefined ? undefined : kindOf(error))
    return true
  } catch {
    return false
  }
}

/** An error's message may hold secrets, so the record gets only its kind. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return 'error'
  return 'code' in error && typeof error.code === 'string' ? `${error.name} ${error.code}` : error.name
}
