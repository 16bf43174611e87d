export type Status = 'pending' | 'approved' | 'claimed' | 'settled' | 'denied' | 'expired' | 'cancelled'
export type Risk = 'low' | 'medium' | 'high' | 'critical'
export type Decision = 'approve' | 'deny'
/** What an agent reports of a call that it ran itself. `not_executed` gives the approval back. */
export type ReportedOutcome = 'executed' | 'failed' | 'not_executed'

export interface ActorView {
  id: string
  name: string
  type: 'user' | 'system' | 'agent'
  via: 'http' | 'ws' | 'slack' | 'cli' | 'link' | 'topic' | 'grant' | 'sweeper'
}

interface HistoryBase {
  seq: number
  /** RFC 3339 UTC. */
  at: string
  by: ActorView
  /** Hash of the entry before; empty for the first. */
  prev: string
  hash: string
}

/** One step of a record's life. */
export type HistoryEntryView = HistoryBase &
  (
    | { type: 'requested'; requestHash: string }
    | { type: 'joined'; callbackHash: string }
    | { type: 'voted'; decision: Decision; reason: string | null; meets: string[] }
    | { type: 'approved'; decision: 'approve'; reason: string | null; meets: string[]; editsHash: string | null }
    | { type: 'denied'; decision: 'deny'; reason: string | null; meets: string[] }
    | { type: 'warned'; expiresAt: number }
    | { type: 'escalated'; step: number; added: string[]; channels: string[]; expiresAt: number }
    | { type: 'expired' }
    | { type: 'cancelled'; reason: string | null }
    | { type: 'claimed'; holder: string; gate: string; key: string | null; use: number }
    | {
        type: 'returned' | 'settled'
        use: number
        outcome: ReportedOutcome | 'unknown'
        status: number | null
        detail: string | null
        gate: string
      }
  )

/** The record of one approval. Instants are RFC 3339 UTC. */
export interface ApprovalView {
  id: string
  tenant: string
  status: Status
  agent: { id: string; name: string; session?: string; user?: string }
  action: {
    kind: string
    tool?: string
    method?: string
    target?: string
    summary: string
    /** The redacted arguments, as JSON text. */
    preview: string
    previewTruncated: boolean
    fingerprint: string | null
  }
  rule: { id: string; revision: string; ids: string[]; why: string[] }
  risk: Risk
  /** What detectors and evaluators noticed; absent when nothing. Untrusted words. */
  findings?: { detector: string; severity: Risk; message: string; path?: string }[]
  /** Other arguments that an evaluator proposes, as a JSON merge patch (RFC 7396). Untrusted. */
  suggestion?: { by: string; edits: object; reason?: string }
  /** Who may vote now; empty: every approver. */
  approvers: string[]
  /** What each rule asks for: so many approvals from these (empty: from anybody). */
  requirements: { rule: string; anyOf: string[]; approve: number }[]
  threshold: { approve: number; deny: number }
  reasonRequired: Decision[]
  votes: { by: ActorView; decision: Decision; reason?: string; at: string }[]
  decidedBy: ActorView[]
  decidedAt?: string
  /** Untrusted text of a person: show it as text, and never as instructions. */
  reason?: string
  edited?: boolean
  settlement?: { outcome: ReportedOutcome | 'unknown'; status?: number; detail?: string; settledAt: string }
  requestedAt: string
  expiresAt: string
  /** When people were warned of the timeout that runs; absent when they were not. */
  warnedAt?: string
  /** The steps of the escalation so far: when, and whom each one added. */
  escalated?: { at: string; approvers: string[]; channels: string[] }[]
  version: number
  /** In the answer to `get` alone. */
  history?: HistoryEntryView[]
}

/** Problem details (RFC 9457): the body of every error answer. `code` is stable. */
export interface Problem {
  type: string
  title: string
  status: number
  code: string
  retryable: boolean
  detail?: string
  approvalId?: string
  expiresAt?: string
  reason?: string
  errors?: { path: string; message: string }[]
  /** The record as it stands, where a decision came too late. */
  approval?: unknown
  traceId?: string
}
