import { CountersignError } from '../../lib/core/errors.ts'
import { approvalIdForKey } from '../../lib/core/ids.ts'
import type { Principal } from '../../lib/ports/identity.ts'

/**
 * The id that an Idempotency-Key leads to (draft-ietf-httpapi-idempotency-key-header), or null.
 * Throws `invalid_request`.
 */
export function keyOf(header: string | string[] | undefined, { tenant, id }: Principal): string | null {
  if (header === undefined) return null
  if (typeof header !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(header))
    throw new CountersignError('invalid_request', 'Idempotency-Key takes 1 to 255 visible ASCII characters.')
  return approvalIdForKey(tenant, id, header)
}
