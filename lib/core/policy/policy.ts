import type { DecisionWord, Risk, Threshold } from '../events.ts'
import type { Path } from './path.ts'

export const ACTIONS = ['allow', 'deny', 'require_approval'] as const
export type RuleAction = (typeof ACTIONS)[number]

export const OPERATORS = [
  'eq',
  'neq',
  'in',
  'notIn',
  'lt',
  'lte',
  'gt',
  'gte',
  'contains',
  'startsWith',
  'matches',
  'exists',
] as const
export type Operator = (typeof OPERATORS)[number]
export type Scalar = string | number | boolean | null

export interface Condition {
  path: Path
  operator: Operator
  operand: Scalar | Scalar[]
}

export interface ApprovalTerms {
  timeoutMs: number
  /** Names and `group:name`; empty means every approver. */
  approvers: string[]
  threshold: Threshold
  reasonRequired: DecisionWord[]
  onDisconnect: 'cancel' | 'keep'
}

export interface Rule {
  id: string
  description: string | null
  match: {
    tool: string[]
    /** Null matches every agent. */
    agent: string[] | null
  }
  when: Condition[]
  action: RuleAction
  /** For require_approval, with the defaults filled in. */
  approval: ApprovalTerms | null
  risk: Risk | null
}

/** A policy that was read and found sound, with its defaults filled in. */
export interface Policy {
  version: 1
  default: 'allow' | 'deny'
  settings: { timeoutMs: number; denialMemoryMs: number }
  rules: Rule[]
}

/** Stands for the policy's `default` where a rule's id is asked for; no rule may have it. */
export const DEFAULT_RULE_ID = 'default'
