import { createHash } from 'node:crypto'

/** Crockford's base32, lower case: no i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const APPROVAL_ID = /^apr_[0-7][0-9a-hjkmnp-tv-z]{25}$/

/** 16 bytes as 26 base32 characters, most significant first, so that the text sorts as the bytes do. */
export function base32(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new RangeError(`expected 16 bytes, got ${bytes.length}`)
  let number = 0n
  for (const byte of bytes) number = (number << 8n) | BigInt(byte)
  let text = ''
  for (let digit = 0; digit < 26; digit++) {
    text = ALPHABET[Number(number & 31n)] + text
    number >>= 5n
  }
  return text
}

/** `apr_` + 26 characters from 16 bytes (a UUIDv7, RFC 9562, so that ids sort by age). */
export const approvalIdFrom = (bytes: Uint8Array): string => `apr_${base32(bytes)}`

/** The id that one Idempotency-Key of one agent always leads to, on whichever gate. */
export function approvalIdForKey(tenant: string, agentId: string, idempotencyKey: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([tenant, agentId, idempotencyKey]))
    .digest()
  return approvalIdFrom(digest.subarray(0, 16))
}

export const isApprovalId = (text: string): boolean => APPROVAL_ID.test(text)
