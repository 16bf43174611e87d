import type { Actor, AgentRef } from './actor.ts'
import { goesOn, stepAt, warnAt } from './escalation.ts'
import type {
  ActionSummary,
  DecisionWord,
  DomainEvent,
  EscalationStep,
  Finding,
  OnTimeout,
  Requirement,
  Risk,
  RuleRef,
  SettleOutcome,
  Suggestion,
  Threshold,
} from './events.ts'
import type { HistoryEntry } from './history.ts'

/**
 * pending → approved → claimed → settled; pending → denied | expired | cancelled; approved → expired;
 * claimed → approved again when nothing was executed.
 */
export const Status = {
  pending: 'pending',
  approved: 'approved',
  claimed: 'claimed',
  settled: 'settled',
  denied: 'denied',
  expired: 'expired',
  cancelled: 'cancelled',
} as const
export type Status = (typeof Status)[keyof typeof Status]
export const STATUSES = Object.values(Status)

export interface Vote {
  by: Actor
  decision: DecisionWord
  reason: string | null
  at: number
  /** The rules whose requirement this voter fulfilled when voting: groups may change later. */
  meets: string[]
}

/** The one-time use of an approval, won by one holder. */
export interface Claim {
  holder: string
  gate: string
  /** The id that the caller's Idempotency-Key derives, or null: the same key is told the same answer again. */
  key: string | null
  /** 1 for the first use, 2 for the one after the first was given back, and so on. */
  use: number
  at: number
}

export interface Settlement {
  outcome: SettleOutcome
  status: number | null
  detail: string | null
  gate: string
  at: number
}

/**
 * The record of one approval. The decider alone writes it, through `transition`, by compare-and-swap on `version`.
 * Instants are milliseconds since the epoch by the decider's clock.
 */
export interface Approval {
  id: string
  tenant: string
  status: Status
  /** Grows by one with every write. */
  version: number
  agent: AgentRef
  action: ActionSummary
  rule: RuleRef
  risk: Risk
  /** As asked; `votersOf` says who may vote now. */
  approvers: string[]
  requirements: Requirement[]
  threshold: Threshold
  reasonRequired: DecisionWord[]
  denialMemoryMs: number
  /** Not there in records that were written before there were any. */
  findings?: Finding[]
  suggestion?: Suggestion | null
  escalation?: EscalationStep[]
  onTimeout?: OnTimeout
  warnAfterMs?: number | null
  /** How long a timeout is. */
  timeoutMs?: number
  /** When each step of the escalation was taken, in their order. */
  escalatedAt?: number[]
  /** When people were warned of the timeout that runs; null when they were not. */
  warnedAt?: number | null
  /** In no view: it may hold a secret of the one who asked. */
  callback?: string | null
  requestedAt: number
  /** Later than asked where the timeout began anew. */
  expiresAt: number
  votes: Vote[]
  decidedBy: Actor[]
  decidedAt: number | null
  reason: string | null
  /** The approver's JSON merge patch on the arguments, as JSON text; only the claim hands it out. */
  edits: string | null
  holders: string[]
  keep: boolean
  claim: Claim | null
  settlement: Settlement | null
  updatedAt: number
  history: HistoryEntry[]
  /** Events that this record owes the bus; cleared once they are published. */
  outbox: DomainEvent[]
}

/** True for calls that the gate itself sends on: it knows what became of them, and nobody else is asked. */
export const isForwarded = ({ kind }: Pick<ActionSummary, 'kind'>): boolean => kind === 'http' || kind === 'mcp'

/** Without a report for this long, a claim is closed as `unknown`: its gate died, and the call may have run. */
export const CLAIM_TIMEOUT_MS = 10 * 60_000

/** When the sweeper must look at this record, or null when never again. */
export function dueAt(approval: Approval): number | null {
  if (approval.status === Status.pending)
    return Math.min(approval.expiresAt, stepAt(approval) ?? Infinity, warnAt(approval) ?? Infinity)
  if (approval.status === Status.approved) return approval.expiresAt
  if (approval.status === Status.claimed && approval.claim) return approval.claim.at + CLAIM_TIMEOUT_MS
  return null
}

/** When this record came to its end, or null when it has not. */
export function endedAt({ status, settlement, decidedAt }: Approval): number | null {
  if (status === Status.settled) return settlement?.at ?? null
  return status === Status.denied || status === Status.expired || status === Status.cancelled ? decidedAt : null
}

/** True when the timeout of an unused approval has come, whether or not it begins anew. */
export const isTimeUp = ({ status, expiresAt }: Approval, now: number): boolean =>
  (status === Status.pending || status === Status.approved) && now >= expiresAt

/** True when the time of an unused approval is over for good, whether or not the sweeper has been there. */
export const isOverdue = (approval: Approval, now: number): boolean => isTimeUp(approval, now) && !goesOn(approval)

/** True when `timeout` comes before any other command: the time is up, or a step of the escalation is due. */
export const isBehind = (approval: Approval, now: number): boolean =>
  isTimeUp(approval, now) || (approval.status === Status.pending && now >= (stepAt(approval) ?? Infinity))
