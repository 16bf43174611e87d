import { unicodeEscapes } from '../../lib/core/printable.ts'

/** Text of others in quotes and on one line; what cannot be seen is written as an escape. */
export const quoted = (text: string): string =>
  JSON.stringify(text).replace(/[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu, unicodeEscapes)
