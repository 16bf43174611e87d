import type { DecisionWord, EscalationStep, OnTimeout, Requirement, Risk, RuleRef, Threshold } from '../events.ts'
import type { Level, RuleAction } from './policy.ts'

export interface Verdict {
  effect: 'allow' | 'deny' | 'require_approval'
  /** False when the default decided: no rule denied, asked or allowed. */
  matched: boolean
  rule: RuleRef
  risk: Risk
  /** What to ask for; there for require_approval alone. */
  approval?: VerdictApproval
  /** What the call spends when it is forwarded, all of it or none; empty where it is denied. */
  limits: readonly VerdictLimit[]
  /** There when the agent's level asks where the rules alone would have allowed. */
  autonomy?: { level: Level; categories: string[] }
  /** What rules in `mode: shadow` would have said. */
  shadow: readonly ShadowVerdict[]
}

export interface VerdictApproval {
  timeoutMs: number
  /** All names and `group:name` of the rules that spoke; empty when one of them is open to every approver. */
  approvers: string[]
  /** What each rule that spoke demands. */
  requirements: Requirement[]
  threshold: Threshold
  reasonRequired: DecisionWord[]
  onDisconnect: 'cancel' | 'keep'
  denialMemoryMs: number
  /** After the timeout began; null: nobody is warned. */
  warnAfterMs: number | null
  /** The steps of all rules that spoke, in the order of their time. */
  escalation: EscalationStep[]
  onTimeout: OnTimeout
  /** For how long the same call joins what is pending; null: as long as it is. */
  dedupeWindowMs: number | null
}

export interface VerdictLimit {
  ruleId: string
  /** Calls with the same key are counted together: a hash, so that it tells nothing. */
  key: string
  limit: number
  windowMs: number
}

export interface ShadowVerdict {
  ruleId: string
  action: RuleAction
  why: string[]
}
