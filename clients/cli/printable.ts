import { unicodeEscapes } from '../../lib/core/printable.ts'

export { printable } from '../../lib/core/printable.ts'

/** JSON text that is inert on a terminal too: the same value, with escapes for what JSON lets through raw. */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(RAW_IN_JSON, unicodeEscapes)

const RAW_IN_JSON = /[\u{7f}-\u{9f}\p{Cf}\p{Zl}\p{Zp}\p{DI}]/gu
