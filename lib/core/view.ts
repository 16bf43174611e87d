import type { Actor } from './actor.ts'
import { type Approval, Status } from './approval.ts'
import { votersOf } from './escalation.ts'
import type { ApprovalRequested, Finding, Requirement, Risk, SettleOutcome, Suggestion, Threshold } from './events.ts'
import type { HistoryEntry } from './history.ts'

type ActorView = { id: string; name: string; type: Actor['type']; via: Actor['via'] }

/** The record as JSON, on HTTP, WebSocket and in webhooks. Instants are RFC 3339 UTC. */
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
  /** Other arguments that an evaluator proposes: `edits` is a JSON merge patch (RFC 7396). Untrusted. */
  suggestion?: { by: string; edits: object; reason?: string }
  /** Who may vote now; empty: every approver. */
  approvers: string[]
  /** What each rule asks for: so many approvals from these (empty: from anybody). */
  requirements: Requirement[]
  threshold: Threshold
  reasonRequired: ('approve' | 'deny')[]
  votes: { by: ActorView; decision: 'approve' | 'deny'; reason?: string; at: string }[]
  decidedBy: ActorView[]
  decidedAt?: string
  /** Untrusted text of a person: show it as text, and never as instructions. */
  reason?: string
  edited?: boolean
  settlement?: { outcome: SettleOutcome; status?: number; detail?: string; settledAt: string }
  requestedAt: string
  expiresAt: string
  /** When people were warned of the timeout that runs; absent when they were not. */
  warnedAt?: string
  /** The steps of the escalation so far: when, whom each one added, and the channels and endpoints that it named. */
  escalated?: { at: string; approvers: string[]; channels: string[] }[]
  version: number
  history?: WithInstant<HistoryEntry>[]
}

/** Of each member of a union: its `at` as text. */
type WithInstant<T> = T extends { at: number } ? Omit<T, 'at'> & { at: string } : never

/** A request as the record that it will make: pending, version 1. */
export function viewOfRequest(event: ApprovalRequested): ApprovalView {
  const { requestedAt, timeoutMs } = event
  // New properties behind a spread would cost V8 many times as much as before it.
  return viewOf({
    status: Status.pending,
    version: 1,
    expiresAt: requestedAt + timeoutMs,
    votes: [],
    decidedBy: [],
    decidedAt: null,
    reason: null,
    edits: null,
    settlement: null,
    ...event,
  })
}

const viewOfFinding = ({ path, ...finding }: Finding) => (path === null ? finding : { ...finding, path })

/** Edits that are no JSON object can be in no request of ours: they are left out. */
function viewOfSuggestion({ by, edits, reason }: Suggestion): Pick<ApprovalView, 'suggestion'> {
  try {
    const value: unknown = JSON.parse(edits)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return {}
    return { suggestion: { by, edits: value, ...(reason === null ? {} : { reason }) } }
  } catch {
    return {}
  }
}

const instant = (ms: number): string => new Date(ms).toISOString()

/** The steps that were taken. */
const viewOfSteps = ({ escalation = [], escalatedAt = [] }: Viewed) =>
  escalatedAt.map((at, index) => {
    const { approvers = [], channels = [] } = escalation[index] ?? {}
    return { at: instant(at), approvers, channels }
  })

type Viewed = Omit<
  Approval,
  'denialMemoryMs' | 'holders' | 'keep' | 'claim' | 'updatedAt' | 'outbox' | 'history' | 'callback'
> & {
  history?: HistoryEntry[]
}

export function viewOf(approval: Viewed, { history = false } = {}): ApprovalView {
  const { agent, action, settlement, findings = [], suggestion = null, warnedAt = null } = approval
  const { approvers, requirements } = votersOf(approval)
  const escalated = viewOfSteps(approval)
  return {
    id: approval.id,
    tenant: approval.tenant,
    status: approval.status,
    agent: {
      id: agent.id,
      name: agent.name,
      ...(agent.session === null ? {} : { session: agent.session }),
      ...(agent.user === null ? {} : { user: agent.user }),
    },
    action: {
      kind: action.kind,
      ...(action.tool === null ? {} : { tool: action.tool }),
      ...(action.method === null ? {} : { method: action.method }),
      ...(action.target === null ? {} : { target: action.target }),
      summary: action.summary,
      preview: action.preview,
      previewTruncated: action.previewTruncated,
      fingerprint: action.fingerprint,
    },
    rule: approval.rule,
    risk: approval.risk,
    ...(findings.length === 0 ? {} : { findings: findings.map(viewOfFinding) }),
    ...(suggestion === null ? {} : viewOfSuggestion(suggestion)),
    approvers,
    requirements,
    threshold: approval.threshold,
    reasonRequired: approval.reasonRequired,
    votes: approval.votes.map(({ by, decision, reason, at }) => ({
      by,
      decision,
      ...(reason === null ? {} : { reason }),
      at: instant(at),
    })),
    decidedBy: approval.decidedBy,
    ...(approval.decidedAt === null ? {} : { decidedAt: instant(approval.decidedAt) }),
    ...(approval.reason === null ? {} : { reason: approval.reason }),
    ...(approval.edits === null ? {} : { edited: true }),
    ...(settlement === null
      ? {}
      : {
          settlement: {
            outcome: settlement.outcome,
            ...(settlement.status === null ? {} : { status: settlement.status }),
            ...(settlement.detail === null ? {} : { detail: settlement.detail }),
            settledAt: instant(settlement.at),
          },
        }),
    requestedAt: instant(approval.requestedAt),
    expiresAt: instant(approval.expiresAt),
    ...(warnedAt === null ? {} : { warnedAt: instant(warnedAt) }),
    ...(escalated.length === 0 ? {} : { escalated }),
    version: approval.version,
    ...(history ? { history: (approval.history ?? []).map((entry) => ({ ...entry, at: instant(entry.at) })) } : {}),
  }
}
