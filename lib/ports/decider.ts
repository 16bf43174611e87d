import type { Approver } from '../core/actor.ts'
import type { Approval } from '../core/approval.ts'
import type { DecisionWord, SettleOutcome } from '../core/events.ts'
import type { ListQuery } from './approval-store.ts'

/** One call that wants to go ahead. Either `approvalId` names the approval, or `key` and `fingerprint` find it. */
export interface ClaimRequest {
  tenant: string
  agentId: string
  approvalId: string | null
  /** The id that the call's Idempotency-Key derives. */
  key: string | null
  /** Null when the action was not read whole. */
  fingerprint: string | null
  /** How long a denial stands for this call, by the rules that spoke. */
  denialMemoryMs: number
  /** For how long after its request the call joins what is pending, when nothing names it; null: as long as it is. */
  dedupeWindowMs: number | null
  /** The connection that waits when the approval is pending; null when nothing does. */
  holder: string | null
  /** The call will come back: its disconnect cancels nothing. */
  keep: boolean
  /** Where the caller wants to be told of the decision: of several calls' for one approval, the first counts. */
  callback?: string | null
  gate: string
}

/**
 * `claimed`: the one use is this call's. `pending`: joined; wait. `used`: somebody was first; with `replay` that was
 * this very call (same Idempotency-Key), which may be told again. `none`: nothing on record answers this call.
 */
export type ClaimResult =
  | { outcome: 'claimed' | 'pending' | 'denied' | 'expired' | 'cancelled'; approval: Approval }
  | { outcome: 'used'; approval: Approval; replay: boolean }
  | { outcome: 'none' }

export interface SettleReport {
  tenant: string
  id: string
  agentId: string
  /** Which use (`claim.use`); null: the latest. */
  use: number | null
  outcome: SettleOutcome
  status: number | null
  detail: string | null
  gate: string
  /** Who says so; left out: the gate itself. An agent has no say on what the gate forwarded. */
  reporter?: 'agent'
}

export interface DecideRequest {
  tenant: string
  id: string
  decision: DecisionWord
  by: Approver
  reason: string | null
  /** A JSON merge patch as JSON text. */
  edits: string | null
}

/**
 * What gates and notifiers ask of the decider: a function call in one process, HTTP between processes. Every call
 * rejects with a CountersignError; `decider_unavailable` when the answer cannot be known now. An id that is not on
 * record yet is waited for a moment: the request may still be on its way.
 */
export interface Decider {
  claim(request: ClaimRequest): Promise<ClaimResult>
  /** The record as it stands now, expired when its time is over, escalated when that is due. Rejects with `approval_not_found`. */
  lookup(tenant: string, id: string): Promise<Approval>
  settle(report: SettleReport): Promise<Approval>
  /** The connection is gone: `cancel` when the agent left, `keep` when it was told to come back, `stay` when we left. */
  leave(request: { tenant: string; id: string; holder: string; intent: 'cancel' | 'keep' | 'stay' }): Promise<void>
  withdraw(request: { tenant: string; id: string; agentId: string; agentName: string }): Promise<Approval>
  decide(request: DecideRequest): Promise<Approval>
  list(query: ListQuery): Promise<Approval[]>
}
