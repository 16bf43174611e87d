/** `Retry-After` (RFC 9110, 10.2.3), seconds or a date, as milliseconds from `now`; undefined when it is neither. */
export function standardRetryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000
  // As HTTP writes it: Date.parse would take much else for a date.
  const at = HTTP_DATE.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

const HTTP_DATE = /^[A-Z][a-z]{2,8}, \d{2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} GMT$/

/** The same, also of services that give fractions of seconds. */
export const retryAfterMs = (header: string | undefined, now: number): number | undefined =>
  header !== undefined && /^\d{1,9}\.\d{1,9}$/.test(header)
    ? Math.ceil(Number(header) * 1_000)
    : standardRetryAfterMs(header, now)
