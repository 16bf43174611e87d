import type { Actor, AgentRef } from './actor.ts'

/** What the bus carries. Names are the topics; each has an Avro schema of the same name in schemas/. */
export const Topic = {
  requested: 'approval.requested',
  decide: 'approval.decide',
  decided: 'approval.decided',
  settled: 'approval.settled',
  expiring: 'approval.expiring',
  escalated: 'approval.escalated',
} as const
export type Topic = (typeof Topic)[keyof typeof Topic]
export const TOPICS = Object.values(Topic)

export const RISKS = ['low', 'medium', 'high', 'critical'] as const
export type Risk = (typeof RISKS)[number]
export const higherRisk = (a: Risk, b: Risk): Risk => (RISKS.indexOf(b) > RISKS.indexOf(a) ? b : a)

export type DecisionWord = 'approve' | 'deny'
export type Outcome = 'approved' | 'denied' | 'expired' | 'cancelled'
export type SettleOutcome = 'executed' | 'failed' | 'not_executed' | 'unknown'

/** What an approver sees of the action. `preview` is the redacted arguments as JSON text; nothing here is secret. */
export interface ActionSummary {
  kind: 'tool' | 'http' | 'mcp' | 'hook'
  /** Name of the tool; null for plain HTTP. */
  tool: string | null
  /** HTTP method and target; null for tools. */
  method: string | null
  target: string | null
  summary: string
  preview: string
  previewTruncated: boolean
  /** SHA-256 hex (see fingerprint.ts); null when the action was not read whole. */
  fingerprint: string | null
}

/** The rules that asked. `revision` hashes the rules that spoke, so a changed rule makes old approvals unusable. */
export interface RuleRef {
  /** The first rule that spoke. */
  id: string
  revision: string
  /** Every rule that spoke, `id` first. */
  ids: string[]
  /** Why it was asked, in words: one line per condition that held. */
  why: string[]
}

/** One rule's demand: at least `approve` votes from `anyOf` (names and `group:name`; empty: any approver). */
export interface Requirement {
  rule: string
  anyOf: string[]
  approve: number
}

export interface Threshold {
  approve: number
  deny: number
}

/** What a detector or an evaluator noticed, for the person who decides. Its words are untrusted and hold no secret. */
export interface Finding {
  /** A built-in detector (`secrets`), or `evaluator/` and the id of an external one. */
  detector: string
  severity: Risk
  message: string
  /** Where in the arguments (`args.env`), or null. */
  path: string | null
}

/** Other arguments, as an evaluator proposes them; they count only when an approver takes them. */
export interface Suggestion {
  /** Id of the evaluator. */
  by: string
  /** A JSON merge patch (RFC 7396) on the arguments, as JSON text. Untrusted. */
  edits: string
  /** Untrusted. */
  reason: string | null
}

/** What happens while nobody decides: at a time of its own, more people may vote and more channels are told. */
export interface EscalationStep {
  /** The rule that has the step: its requirement is the one that widens. */
  rule: string
  /** After the request, in milliseconds; the timeout or more: it is the timeout that takes the step. */
  afterMs: number
  /** Who may vote besides: names and `group:name`; empty: nobody else. */
  approvers: string[]
  /** Channels and webhook endpoints that are told, by their ids. */
  channels: string[]
}

/** What the timeout does: `escalate` takes the next step, if one is left, and begins anew. */
export const ON_TIMEOUT = ['deny', 'escalate'] as const
export type OnTimeout = (typeof ON_TIMEOUT)[number]

export interface ApprovalRequested {
  id: string
  tenant: string
  agent: AgentRef
  action: ActionSummary
  rule: RuleRef
  risk: Risk
  /** Who may vote: names and `group:name`; empty means every approver. */
  approvers: string[]
  requirements: Requirement[]
  threshold: Threshold
  reasonRequired: DecisionWord[]
  /** The connection that holds the call, or null when nothing waits. */
  holder: string | null
  /** True when the call said that it will come back: a dropped connection then cancels nothing. */
  keep: boolean
  denialMemoryMs: number
  /** Milliseconds since the epoch. */
  requestedAt: number
  timeoutMs: number
  findings: Finding[]
  suggestion: Suggestion | null
  /** In the order of their time. */
  escalation: EscalationStep[]
  onTimeout: OnTimeout
  /** When people are warned that the time runs out, in milliseconds after the timeout began; null: never. */
  warnAfterMs: number | null
  /** Where the one who asked wants to be told of the outcome, or null. It may hold a secret of theirs: it is in no view. */
  callback: string | null
}

export interface ApprovalDecide {
  commandId: string
  id: string
  tenant: string
  decision: DecisionWord | 'cancel'
  actor: Actor
  reason: string | null
  /** A JSON merge patch (RFC 7396) on the arguments, as JSON text. */
  edits: string | null
  at: number
}

export interface ApprovalDecided {
  id: string
  tenant: string
  outcome: Outcome
  decidedBy: Actor[]
  /** Untrusted text of a person. */
  reason: string | null
  edited: boolean
  decidedAt: number
  version: number
  fingerprint: string | null
  /** Hash of the history entry of this decision: the log vouches for the record. */
  historyHash: string
}

export interface ApprovalSettled {
  id: string
  tenant: string
  /** Which use of the approval: 1 for the first, 2 after that was given back, and so on. */
  use: number
  outcome: SettleOutcome
  /** HTTP status of the upstream, where there was one. */
  status: number | null
  detail: string | null
  gate: string
  settledAt: number
  /** Version of the record, or null when a gate could not reach the decider and reports by the topic alone. */
  version: number | null
  historyHash: string | null
}

/** Time runs out and nobody has decided. Once per timeout. */
export interface ApprovalExpiring {
  id: string
  tenant: string
  expiresAt: number
  version: number
  historyHash: string
  at: number
}

/** A step of the escalation was taken. */
export interface ApprovalEscalated {
  id: string
  tenant: string
  /** 1 for the first. */
  step: number
  /** Who may vote from now on; empty means every approver. */
  approvers: string[]
  requirements: Requirement[]
  /** Whom this step named. */
  added: string[]
  /** Channels and webhook endpoints that this step tells. */
  channels: string[]
  /** Later than before when the timeout began anew. */
  expiresAt: number
  version: number
  historyHash: string
  at: number
}

export interface TopicEvents {
  'approval.requested': ApprovalRequested
  'approval.decide': ApprovalDecide
  'approval.decided': ApprovalDecided
  'approval.settled': ApprovalSettled
  'approval.expiring': ApprovalExpiring
  'approval.escalated': ApprovalEscalated
}

/** An event with its topic, as services hand it to the bus. `eventId` is what consumers deduplicate by. */
export type DomainEvent = { [T in Topic]: { topic: T; eventId: string; at: number; data: TopicEvents[T] } }[Topic]
export type EventOf<T extends Topic> = Extract<DomainEvent, { topic: T }>
