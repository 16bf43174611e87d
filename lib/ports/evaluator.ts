import type { AgentRef } from '../core/actor.ts'
import type { ActionSummary, Finding, Risk } from '../core/events.ts'
import type { Opinion } from '../core/policy/opinion.ts'
import type { ExternalEvaluator, Power } from '../core/policy/policy.ts'

/** What an evaluator is shown: what an approver would see, and nothing that is secret. */
export interface EvaluationInput {
  tenant: string
  agent: AgentRef
  /** The agent's autonomy level. */
  level: string
  action: Omit<ActionSummary, 'fingerprint'>
  /** What the rules alone say. */
  verdict: { effect: 'allow' | 'require_approval'; rule: { id: string; ids: string[]; why: string[] }; risk: Risk }
  findings: Finding[]
  /** What the opinion may do. */
  may: Power[]
}

export interface Evaluator {
  /** Never rejects: no answer in time, or none that can be used, is the opinion `failed`. */
  evaluate(input: EvaluationInput, signal: AbortSignal): Promise<Opinion>
}

/** Finds the evaluator that a policy names. */
export type EvaluatorOf = (settings: ExternalEvaluator) => Evaluator
