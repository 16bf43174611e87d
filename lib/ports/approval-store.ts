import type { Approval, Status } from '../core/approval.ts'
import type { Risk } from '../core/events.ts'

/** A place in a list that is ordered by request time and id, newest first. */
export interface ListCursor {
  requestedAt: number
  id: string
}

export interface ListQuery {
  tenant: string
  status?: readonly Status[]
  /** Name or id of the agent. */
  agent?: string
  tool?: string
  risk?: Risk
  /** A piece of the summary, whatever its case. */
  q?: string
  after?: ListCursor
  limit: number
}

/**
 * The records. Every write is durable when its promise resolves. Reads see all writes that resolved before.
 * Any call rejects with `decider_unavailable` when the store is away.
 */
export interface ApprovalStore {
  /** False when the id is taken: the stored record stays as it is. */
  insert(approval: Approval): Promise<boolean>
  get(id: string): Promise<Approval | undefined>
  /** Compare-and-swap: false when the stored version is not `expectedVersion` (or the id is unknown). */
  replace(expectedVersion: number, next: Approval): Promise<boolean>
  /** Newest first. */
  list(query: ListQuery): Promise<Approval[]>
  /** How many pending records each tenant has. */
  countPending(): Promise<Map<string, number>>
  /**
   * The records that may answer this call, oldest first: pending, approved, claimed but not settled, and those denied
   * since `deniedSince` (ms).
   */
  findByFingerprint(fingerprint: string, deniedSince: number): Promise<Approval[]>
  /** Records whose `dueAt` has come, the longest overdue first. */
  findDue(now: number, limit: number): Promise<Approval[]>
  /** The earliest `dueAt` of all, or undefined. */
  nextDueAt(): Promise<number | undefined>
  /** Records that owe events to the bus, the longest waiting first. */
  findOutbox(limit: number): Promise<Approval[]>
  /** Takes published events out of a record's outbox, whatever its version. */
  clearOutbox(id: string, eventIds: readonly string[]): Promise<void>
  /** Every record, oldest first, for `audit verify` and exports. */
  scan(): AsyncIterable<Approval>
  /** Deletes records that reached their end before `endedBefore` (ms); resolves with how many. */
  prune(endedBefore: number): Promise<number>
  /** Resolves when the store can be read; rejects when it is away. */
  ping(): Promise<void>
  close(): Promise<void>
}
