import { createHash } from 'node:crypto'
import { base32 } from '../../../lib/core/ids.ts'
import type { Delivery } from '../../../lib/ports/delivery-store.ts'

/** A delivery that was never tried, due at once. One event makes one delivery at an endpoint, however often it comes. */
export function newDelivery(
  of: Pick<Delivery, 'endpoint' | 'tenant' | 'approvalId' | 'eventId' | 'type' | 'version' | 'body'>,
  now: number,
): Delivery {
  return {
    id: deliveryId(of.eventId, of.endpoint),
    ...of,
    status: 'waiting',
    attempts: 0,
    log: [],
    dueAt: now,
    owner: null,
    receipt: null,
    createdAt: now,
    endedAt: null,
  }
}

/** `dlv_` + 26 characters. */
export function deliveryId(eventId: string, endpoint: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([eventId, endpoint]))
    .digest()
  return `dlv_${base32(digest.subarray(0, 16))}`
}
