import type { DecisionWord, EscalationStep, OnTimeout, Risk, Threshold } from '../events.ts'
import type { Path } from './path.ts'
import type { CommandSpec } from './shell/command-spec.ts'

export const ACTIONS = ['allow', 'deny', 'require_approval', 'rate_limit'] as const
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

export interface PathCondition {
  path: Path
  operator: Operator
  operand: Scalar | Scalar[]
}

export type Condition =
  | PathCondition
  /** What the parsed command line at the path runs. */
  | { command: CommandSpec; path: Path }
  /** CEL. */
  | { expr: string }
  | { any: Condition[] }
  | { all: Condition[] }
  | { not: Condition }

/** Of tools and MCP tools, of HTTP requests, and of both: a rule has keys of one of the first two, and any of the last. */
export const TOOL_KEYS = ['tool', 'server'] as const
export const HTTP_KEYS = ['upstream', 'host', 'path', 'method'] as const
export const COMMON_KEYS = ['agent', 'agentType', 'labels', 'session'] as const
export const MATCH_KEYS = [...TOOL_KEYS, ...HTTP_KEYS, ...COMMON_KEYS] as const
export type MatchKey = (typeof MATCH_KEYS)[number]
/** Globs by key: every key that is given must fit, by one of its globs. */
export type Match = Partial<Record<MatchKey, string[]>>

export interface ApprovalTerms {
  timeoutMs: number
  /** Names and `group:name`; empty means every approver. */
  approvers: string[]
  threshold: Threshold
  reasonRequired: DecisionWord[]
  onDisconnect: 'cancel' | 'keep'
  /** After the timeout began; null: nobody is warned. */
  warnAfterMs: number | null
  /** In the order of their time. */
  escalation: Omit<EscalationStep, 'rule'>[]
  onTimeout: OnTimeout
  /** For how long the same call joins what is pending; null: as long as it is. */
  dedupeWindowMs: number | null
}

/** When people are warned that the time runs out: after a share of the timeout, or so long before its end. */
export type Warning = { share: number } | { beforeMs: number }

/** What calls are counted together by: one of these names, or the values at paths. */
export const LIMIT_KEYS = ['agent', 'session', 'tool'] as const
export type LimitKey = (typeof LIMIT_KEYS)[number]

export interface RateLimit {
  limit: number
  windowMs: number
  key: LimitKey | Path[]
}

export interface Rule {
  id: string
  description: string | null
  match: Match
  when: Condition[]
  action: RuleAction
  /** For require_approval, with the defaults filled in. */
  approval: ApprovalTerms | null
  /** For rate_limit. */
  rateLimit: RateLimit | null
  /** `shadow`: evaluated and told of, without a say. */
  mode: 'enforce' | 'shadow'
  risk: Risk | null
}

/** Gives actions the categories that autonomy levels speak of. */
export interface Classifier {
  categories: string[]
  match: Match
  when: Condition[]
}

/** From the freest to the tightest. */
export const LEVELS = ['full', 'semi', 'supervised', 'locked'] as const
export type Level = (typeof LEVELS)[number]
export const tighterLevel = (a: Level, b: Level): Level => (LEVELS.indexOf(b) > LEVELS.indexOf(a) ? b : a)

/** Globs on categories: what runs alone, and what needs a person all the same. */
export interface LevelTerms {
  alone: string[]
  ask: string[]
}

export interface Autonomy {
  default: Level
  levels: Record<Level, LevelTerms>
}

export const DETECTORS = ['destructive', 'secrets', 'exfiltration', 'production'] as const
export type Detector = (typeof DETECTORS)[number]
export const POWERS = ['approve', 'deny', 'escalate', 'suggest'] as const
export type Power = (typeof POWERS)[number]

export interface ExternalEvaluator {
  id: string
  url: string
  timeoutMs: number
  /** Name of the environment variable that holds the secret that requests are signed with; null: unsigned. */
  secret: string | null
  may: Power[]
}

export interface Evaluators {
  /** The risk that a finding raises to; null switches the detector off. */
  builtin: Record<Detector, Risk | null>
  /** Hosts that data may go to without a finding, as globs. */
  knownHosts: string[]
  /** Words that name a production target. */
  productionNames: string[]
  external: ExternalEvaluator[]
}

/** A policy that was read and found sound, with its defaults filled in. Plain data. */
export interface Policy {
  version: 1
  default: 'allow' | 'deny'
  settings: {
    timeoutMs: number
    denialMemoryMs: number
    /** Null: never. */
    warn: Warning | null
    dedupeWindowMs: number | null
  }
  rules: Rule[]
  classify: Classifier[]
  autonomy: Autonomy
  evaluators: Evaluators
}

/** Stands for the policy's `default` where a rule's id is asked for; no rule may have it. */
export const DEFAULT_RULE_ID = 'default'
/** Stands for the autonomy level where it asks and no rule does. */
export const AUTONOMY_RULE_ID = 'autonomy'
/** Stands for the evaluators where one of them asks and no rule does. */
export const EVALUATORS_RULE_ID = 'evaluators'
