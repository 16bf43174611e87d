import { canonicalJson, sha256Hex } from '../canonical-json.ts'
import type { Risk, RuleRef } from '../events.ts'
import { compileAutonomy, type JudgeLevel } from './autonomy.ts'
import { type CompiledCondition, compileCondition, type Finders } from './condition.ts'
import { compileDetectors, type Detect } from './detectors/detect.ts'
import type { Facts } from './facts.ts'
import { compileLimit } from './limit.ts'
import { compileMatch } from './match.ts'
import {
  AUTONOMY_RULE_ID,
  type Condition,
  DEFAULT_RULE_ID,
  type Match,
  type MatchKey,
  type Policy,
  type Rule,
  type RuleAction,
} from './policy.ts'
import { RuleIndex } from './rule-index.ts'
import type { VerdictApproval, VerdictLimit } from './verdict.ts'
import { warnAfterMs } from './warning.ts'

/** What judging reads of a rule stands here again, so that it looks at one object and not at two. */
export interface CompiledRule {
  rule: Rule
  id: string
  action: RuleAction
  isShadow: boolean
  risk: Risk | null
  /** Why it speaks, before what its conditions say. */
  why: string
  /** Whether it speaks of an action that the index found it for. */
  fits(facts: Facts): boolean
  conditions: readonly CompiledCondition[]
  /** What the rule asks for when it speaks alone; null unless it asks. */
  approval: VerdictApproval | null
  /** What a call spends of the rule's limit; null unless it limits. */
  limit: ((facts: Facts) => VerdictLimit) | null
  /** Canonical JSON of the rule with the settings that bear on it. */
  canonical: string
  revision: string
}

/** A policy that is ready to judge. Immutable. */
export interface CompiledPolicy {
  policy: Policy
  /** Hash of the whole policy; the order of its rules does not matter. */
  revision: string
  rules: readonly CompiledRule[]
  index: RuleIndex
  judgeLevel: JudgeLevel
  detect: Detect
  /** What the agent's level asks for. */
  levelApproval: VerdictApproval
  /** What is said when no rule spoke. */
  defaultRule: RuleRef
}

const REVISION_LENGTH = 16

/** The first 16 hex digits of the SHA-256 of a list of canonical texts, sorted. */
export const revisionOf = (canonicals: readonly string[]): string => shortHash(`[${[...canonicals].sort()}]`)

const shortHash = (text: string): string => sha256Hex(text).slice(0, REVISION_LENGTH)

/** Done once per policy: indexes the rules, compiles their patterns, hashes them. Throws for what no parser let through. */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const { settings, classify, autonomy, evaluators } = policy
  const index = new RuleIndex(policy.rules.map(({ match }) => match))
  const parts = new Parts()
  const rules = policy.rules.map((rule, number) => compileRule(rule, policy, index.settled(number), parts))
  const base = canonicalJson({ default: policy.default, settings })
  const others = canonicalJson({ classify, autonomy, evaluators })
  return {
    policy,
    rules,
    revision: shortHash(`[${base},${others},${revisionOf(rules.map(({ canonical }) => canonical))}]`),
    index,
    judgeLevel: compileAutonomy(policy),
    detect: compileDetectors(evaluators),
    levelApproval: {
      timeoutMs: settings.timeoutMs,
      approvers: [],
      requirements: [{ rule: AUTONOMY_RULE_ID, anyOf: [], approve: 1 }],
      threshold: { approve: 1, deny: 1 },
      reasonRequired: [],
      onDisconnect: 'cancel',
      denialMemoryMs: settings.denialMemoryMs,
      warnAfterMs: warnAfterMs(settings.warn, settings.timeoutMs),
      escalation: [],
      onTimeout: 'deny',
      dedupeWindowMs: settings.dedupeWindowMs,
    },
    defaultRule: {
      id: DEFAULT_RULE_ID,
      revision: shortHash(base),
      ids: [DEFAULT_RULE_ID],
      why: [`No rule matched; the default is ${policy.default}.`],
    },
  }
}

/** What rules have in common is compiled once: the less there is of it, the more of it stays in the processor's caches. */
class Parts {
  readonly #made = new Map<string, unknown>()
  readonly #finders: Finders = new Map()

  fits(match: Match, strict: boolean): CompiledRule['fits'] {
    return this.#once({ match, strict }, () => compileMatch(match, strict))
  }

  conditions(when: readonly Condition[], strict: boolean): readonly CompiledCondition[] {
    return this.#once({ when, strict }, () =>
      when.map((condition) =>
        this.#once({ condition, strict }, () => compileCondition(condition, strict, this.#finders)),
      ),
    )
  }

  /** `of` says all that the part is made of. */
  #once<T>(of: object, make: () => T): T {
    const key = canonicalJson(of)
    const known = this.#made.get(key) as T | undefined
    if (known !== undefined) return known
    const made = make()
    this.#made.set(key, made)
    return made
  }
}

function compileRule(rule: Rule, { settings }: Policy, settled: MatchKey | undefined, parts: Parts): CompiledRule {
  const strict = rule.action !== 'allow'
  const match = { ...rule.match }
  if (strict && settled) delete match[settled]
  const canonical = canonicalJson({ rule, denialMemoryMs: settings.denialMemoryMs })
  return {
    rule,
    id: rule.id,
    action: rule.action,
    isShadow: rule.mode === 'shadow',
    risk: rule.risk,
    why: rule.description ?? `The rule ${rule.id} matched.`,
    fits: parts.fits(match, strict),
    conditions: parts.conditions(rule.when, strict),
    approval: rule.approval && {
      ...rule.approval,
      requirements: [{ rule: rule.id, anyOf: rule.approval.approvers, approve: rule.approval.threshold.approve }],
      denialMemoryMs: settings.denialMemoryMs,
      escalation: rule.approval.escalation.map((step) => ({ rule: rule.id, ...step })),
    },
    limit: rule.rateLimit && compileLimit(rule.id, rule.rateLimit),
    canonical,
    revision: revisionOf([canonical]),
  }
}
