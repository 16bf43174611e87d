import type { NotificationType } from '../core/notification.ts'

/**
 * `waiting`: has attempts before it. `delivered`: done. `stopped`: nobody needs it any more (what it asked for is
 * decided). `dead`: given up; can be replayed.
 */
export const DELIVERY_STATUSES = ['waiting', 'delivered', 'stopped', 'dead'] as const
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number]

/** One attempt, as the delivery log shows it. */
export interface DeliveryAttempt {
  at: number
  durationMs: number
  outcome: 'delivered' | 'failed' | 'rejected' | 'gone'
  status: number | null
  /** Holds no secret. */
  detail: string | null
}

/** One notification for one endpoint. Instants are milliseconds since the epoch. */
export interface Delivery {
  /** Derived from the event and the endpoint, so that an event which comes twice makes one delivery. */
  id: string
  endpoint: string
  tenant: string
  /** Null for what is about no approval, such as a test. */
  approvalId: string | null
  eventId: string
  type: NotificationType | 'webhook.test' | 'webhook.disabled'
  /** Orders the deliveries of one approval at one endpoint. */
  version: number
  /** What is delivered, as JSON text; the same in every attempt. */
  body: string
  status: DeliveryStatus
  /** How many attempts were begun. */
  attempts: number
  /** The latest attempts, oldest first, at most 20. */
  log: DeliveryAttempt[]
  /** When it may be tried next; while a worker has it, when its lease ends. */
  dueAt: number
  /** The worker that has it, or null. */
  owner: string | null
  receipt: string | null
  createdAt: number
  endedAt: number | null
}

/** Every write is durable when its promise resolves. Any call rejects with `decider_unavailable` when the store is away. */
export interface DeliveryStore {
  /** Deliveries whose id is known stay as they are. Resolves with how many were new. */
  insert(deliveries: readonly Delivery[]): Promise<number>
  get(id: string): Promise<Delivery | undefined>
  /**
   * Takes up to `limit` waiting deliveries of this endpoint that are due, the longest due first, never one that has an
   * earlier one (by `version`) of the same approval still waiting at this endpoint. Each is `owner`'s until
   * `now + leaseMs`, counts one more attempt, and is nobody else's before that: a worker that dies loses nothing.
   */
  claim(request: { endpoint: string; owner: string; now: number; leaseMs: number; limit: number }): Promise<Delivery[]>
  /**
   * Saves what came of an attempt. False when the lease was lost to another worker. A delivery that was stopped
   * meanwhile stays so, unless `next` says that it is delivered.
   */
  finish(owner: string, next: Delivery): Promise<boolean>
  /** Ends the waiting deliveries of these types about an approval. */
  stop(request: { approvalId: string; types: readonly Delivery['type'][]; at: number }): Promise<number>
  /** Ends the waiting deliveries of an endpoint that is no more. */
  stopEndpoint(request: { endpoint: string; at: number }): Promise<number>
  /** The endpoints that have something due, and when the next thing after `now` is due; undefined when nothing is. */
  due(now: number): Promise<{ endpoints: string[]; nextAt: number | undefined }>
  /** The latest receipt that this endpoint gave for this approval. */
  receipt(endpoint: string, approvalId: string): Promise<string | null>
  /** Newest first. */
  list(query: {
    tenant: string
    endpoint?: string
    approvalId?: string
    status?: DeliveryStatus
    after?: { createdAt: number; id: string }
    limit: number
  }): Promise<Delivery[]>
  /** Makes ended deliveries wait again, from their first attempt on; false when the id is unknown or still waits. */
  replay(id: string, at: number): Promise<boolean>
  /** Deletes what ended before; resolves with how many. */
  prune(endedBefore: number): Promise<number>
  ping(): Promise<void>
  close(): Promise<void>
}
