export { printable } from '../../lib/core/printable.ts'

/** JSON text that is inert on a terminal too: the same value, with escapes for what JSON lets through raw. */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(RAW_IN_JSON, (found) =>
    [...Array(found.length).keys()].map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  )

const RAW_IN_JSON = /[\u{7f}-\u{9f}\p{Cf}\p{Zl}\p{Zp}\p{DI}]/gu
