import { expect, vi } from 'vitest'
import type { Delivery } from '../../lib/ports/bus.ts'

/** How long to wait for a delivery: enough for a consumer group of a real broker. */
export const PATIENCE = { timeout: 20_000, interval: 5 }

/** A handler that keeps what it gets. */
export interface Inbox {
  deliveries: Delivery[]
  handler(batch: readonly Delivery[]): Promise<void>
  /** Resolves when so many have come; fails when there are more. */
  has(count: number): Promise<void>
  ids(): string[]
}

export function createInbox(): Inbox {
  const deliveries: Delivery[] = []
  return {
    deliveries,
    handler: async (batch) => {
      deliveries.push(...batch)
    },
    has: async (count) => {
      await vi.waitFor(() => expect(deliveries.length).toBeGreaterThanOrEqual(count), PATIENCE)
      expect(deliveries).toHaveLength(count)
    },
    ids: () => deliveries.map(({ eventId }) => eventId),
  }
}

/** A promise to resolve from outside. */
export function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve: () => resolve() }
}
