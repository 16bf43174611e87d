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
   * Takes up to `limit` waiting deliveries of this endpoint that are due, the longest due first. Those of one approval
   * are taken one after the other, by `version`: none while an earlier one waits, or any of them is out. Each is
   * `owner`'s until `now + leaseMs`, counts one more attempt, and is nobody else's before that; a worker that dies loses
   * nothing. One that had to stand back is due again as soon as its turn comes.
   */
  claim(request: { endpoint: string; owner: string; now: number; leaseMs: number; limit: number }): Promise<Delivery[]>
  /**
   * Saves what came of an attempt (`status`, `log`, `dueAt`, `receipt`, `endedAt`) and ends its lease. False when the
   * lease was lost: to another worker, or to a later attempt of this one. A delivery that was stopped meanwhile stays so,
   * with the new log, unless `next` says that it is delivered; one that was to be tried once ends instead of waiting.
   */
  finish(owner: string, next: Delivery): Promise<boolean>
  /**
   * Nobody needs the deliveries of these types about an approval any more: those that wait and were tried already end,
   * also when they are out. One that was never tried gets its first attempt and no second, so that a receiver hears of
   * everything once; one that is replayed gets one attempt too.
   */
  stop(request: { approvalId: string; types: readonly Delivery['type'][]; at: number }): Promise<void>
  /** Ends the waiting deliveries of an endpoint that is no more; resolves with how many. */
  stopEndpoint(request: { endpoint: string; at: number }): Promise<number>
  /** The endpoints that have something due, and when the next thing after `now` is due; undefined when nothing is. */
  due(now: number): Promise<{ endpoints: string[]; nextAt: number | undefined }>
  /** The receipt of the latest delivery of this approval at this endpoint that has one, or null. */
  receipt(endpoint: string, approvalId: string): Promise<string | null>
  /** Those of these approvals that a delivery of `approval.decided` was made of, for whomever. */
  withOutcome(approvalIds: readonly string[]): Promise<Set<string>>
  /** Newest first. */
  list(query: {
    tenant: string
    endpoint: string
    status?: DeliveryStatus
    after?: { createdAt: number; id: string }
    limit: number
  }): Promise<Delivery[]>
  /**
   * Makes an ended delivery wait again, from its first attempt on, with its log; false when the id is unknown or it
   * still waits.
   */
  replay(id: string, at: number): Promise<boolean>
  /** Replays the dead deliveries of an endpoint that were created since then; resolves with how many. */
  replayDead(request: { tenant: string; endpoint: string; since: number; at: number }): Promise<number>
  /** Deletes what ended before; resolves with how many. */
  prune(endedBefore: number): Promise<number>
  ping(): Promise<void>
  close(): Promise<void>
}
