/** A refusal in Kafka's own words (`MESSAGE_TOO_LARGE`), wherever in the causes of an error it is; undefined for others. */
export function protocolErrorOf(error: unknown): { type: string; message: string } | undefined {
  for (let each: unknown = error, depth = 0; each instanceof Error && depth < 5; depth++) {
    if ('type' in each && typeof each.type === 'string') return { type: each.type, message: each.message }
    each = 'errors' in each && Array.isArray(each.errors) ? each.errors[0] : each.cause
  }
  return undefined
}

/** The message of an error, bounded: for a header. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, LONGEST_REASON)

const LONGEST_REASON = 1_000
