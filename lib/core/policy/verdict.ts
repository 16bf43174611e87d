import type { Json } from '../canonical-json.ts'
import type { DecisionWord, Requirement, Risk, RuleRef, Threshold } from '../events.ts'

/** What an agent wants to do, as policy sees it. */
export interface PolicyAction {
  tool: string
  args: Json
  agent: { name: string }
  /** What the agent says about the call; it can only make the verdict stricter where rules use it for that. */
  context: {
    session?: string | null
    user?: string | null
    risk?: string | null
    labels?: readonly string[] | null
  }
}

export interface Verdict {
  effect: 'allow' | 'deny' | 'require_approval'
  /** False when no rule spoke and the default decided. */
  matched: boolean
  rule: RuleRef
  risk: Risk
  /** What to ask for; there for require_approval alone. */
  approval?: VerdictApproval
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
}
