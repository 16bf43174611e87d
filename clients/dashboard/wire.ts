/** What the server sends, as far as the page reads it. Instants are RFC 3339 UTC. */

export type DecisionWord = 'approve' | 'deny'
export type Status = 'pending' | 'approved' | 'claimed' | 'settled' | 'denied' | 'expired' | 'cancelled'
export type Risk = 'low' | 'medium' | 'high' | 'critical'

export interface ActorView {
  id: string
  name: string
  type: 'user' | 'system' | 'agent'
  via: string
}

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
  }
  rule: { id: string; ids: string[]; why: string[] }
  risk: Risk
  approvers: string[]
  threshold: { approve: number; deny: number }
  reasonRequired: DecisionWord[]
  votes: { by: ActorView; decision: DecisionWord; reason?: string; at: string }[]
  decidedBy: ActorView[]
  decidedAt?: string
  reason?: string
  edited?: boolean
  settlement?: { outcome: 'executed' | 'failed' | 'not_executed' | 'unknown'; status?: number; detail?: string }
  requestedAt: string
  expiresAt: string
  version: number
}

export interface Session {
  id: string
  name: string
  tenant: string
  role: string
  groups: string[]
}

/** Problem details (RFC 9457), and what the page itself has to say when there was no answer. */
export interface Problem {
  code: string
  title: string
  status: number
  detail?: string
  approval?: ApprovalView
}

export interface SnapshotFrame {
  type: 'snapshot'
  /** Everything pending that this session may see. */
  items: ApprovalView[]
  cursor: string
  /** True: the server can't tell what was missed; forget what you had. */
  reset: boolean
}

export type ServerFrame =
  | SnapshotFrame
  | { type: 'event'; event: string; approval: ApprovalView; cursor: string }
  | { type: 'ack'; ref: string; approval: ApprovalView }
  | { type: 'error'; ref?: string; problem: Problem }

export type ClientFrame =
  | { type: 'subscribe'; after?: string }
  | { type: 'decide'; ref: string; id: string; decision: DecisionWord; reason?: string }
