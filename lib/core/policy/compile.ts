import { canonicalJson, sha256Hex } from '../canonical-json.ts'
import type { RuleRef } from '../events.ts'
import { type CompiledCondition, compileCondition } from './condition.ts'
import { matchesGlob } from './glob.ts'
import { DEFAULT_RULE_ID, type Policy, type Rule } from './policy.ts'
import { ToolIndex } from './tool-index.ts'
import type { PolicyAction, VerdictApproval } from './verdict.ts'

export interface CompiledRule {
  rule: Rule
  conditions: CompiledCondition[]
  /** Tool and agent; names are compared without regard to case unless the rule allows. */
  fits(action: PolicyAction): boolean
  /** What the rule asks for when it speaks alone; null unless it asks. */
  approval: VerdictApproval | null
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
  /** Rules that may match this tool, in the order of the file. */
  candidates(tool: string): CompiledRule[]
  /** What is said when no rule spoke. */
  defaultRule: RuleRef
}

const REVISION_LENGTH = 16

/** The first 16 hex digits of the SHA-256 of the rules' canonical JSON, sorted by id. */
export const revisionOf = (rules: readonly CompiledRule[]): string =>
  shortHash(`[${[...rules].sort(byId).map(({ canonical }) => canonical)}]`)

const byId = (a: CompiledRule, b: CompiledRule): number => (a.rule.id < b.rule.id ? -1 : 1)
const shortHash = (text: string): string => sha256Hex(text).slice(0, REVISION_LENGTH)

/** Done once per policy: indexes the rules by tool, compiles their patterns, hashes them. */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const rules = policy.rules.map((rule) => compileRule(rule, policy))
  const strictIndex = new ToolIndex()
  const allowIndex = new ToolIndex()
  for (const [number, { rule }] of rules.entries())
    for (const glob of rule.match.tool)
      if (isStrict(rule)) strictIndex.add(glob.toLowerCase(), number)
      else allowIndex.add(glob, number)

  const base = canonicalJson({ default: policy.default, settings: policy.settings })
  const why = [`No rule matched; the default is ${policy.default}.`]
  return {
    policy,
    rules,
    revision: shortHash(`[${base},${[...rules].sort(byId).map(({ canonical }) => canonical)}]`),
    candidates(tool) {
      const numbers: number[] = []
      strictIndex.collect(tool.toLowerCase(), numbers)
      allowIndex.collect(tool, numbers)
      if (numbers.length > 1) numbers.sort((a, b) => a - b)
      const found: CompiledRule[] = []
      let last = -1
      for (const number of numbers) {
        const rule = rules[number]
        if (number !== last && rule) found.push(rule)
        last = number
      }
      return found
    },
    defaultRule: { id: DEFAULT_RULE_ID, revision: shortHash(base), ids: [DEFAULT_RULE_ID], why },
  }
}

const isStrict = (rule: Rule): boolean => rule.action !== 'allow'

function compileRule(rule: Rule, { settings }: Policy): CompiledRule {
  const strict = isStrict(rule)
  const canonical = canonicalJson({ rule, denialMemoryMs: settings.denialMemoryMs })
  const fold = (text: string) => (strict ? text.toLowerCase() : text)
  const tools = rule.match.tool.map(fold)
  const agents = rule.match.agent?.map(fold)
  return {
    rule,
    conditions: rule.when.map((condition) => compileCondition(condition, strict)),
    fits({ tool, agent }) {
      const name = fold(tool)
      if (!tools.some((glob) => matchesGlob(glob, name))) return false
      if (!agents) return true
      const agentName = fold(agent.name)
      return agents.some((glob) => matchesGlob(glob, agentName))
    },
    approval: rule.approval && {
      ...rule.approval,
      requirements: [{ rule: rule.id, anyOf: rule.approval.approvers, approve: rule.approval.threshold.approve }],
      denialMemoryMs: settings.denialMemoryMs,
    },
    canonical,
    revision: shortHash(`[${canonical}]`),
  }
}
