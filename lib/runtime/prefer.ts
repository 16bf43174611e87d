import { CountersignError } from '../core/errors.ts'

export interface Preference {
  /** Seconds that the caller wants to wait, if it said so. */
  waitSeconds: number | undefined
  respondAsync: boolean
}

/** The `wait` and `respond-async` preferences of a `Prefer` header (RFC 7240); others are ignored, as the RFC says. */
export function parsePrefer(header: string | string[] | undefined): Preference {
  const preference: Preference = { waitSeconds: undefined, respondAsync: false }
  if (header === undefined) return preference
  for (const part of [header].flat().join(',').split(',')) {
    const [name, value] = part
      .split(';')[0]!
      .split('=')
      .map((piece) => piece.trim())
    if (name?.toLowerCase() === 'respond-async') preference.respondAsync = true
    if (name?.toLowerCase() !== 'wait') continue
    if (value === undefined || !/^"?\d{1,9}"?$/.test(value))
      throw new CountersignError('invalid_request', 'Prefer: wait takes a whole number of seconds.')
    preference.waitSeconds = Number(value.replaceAll('"', ''))
  }
  return preference
}
