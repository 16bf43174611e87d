import type { PolicyAction } from '../../../lib/core/policy/action.ts'
import type { CompiledPolicy } from '../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../lib/core/policy/evaluate.ts'
import { ACTIONS, type RuleAction } from '../../../lib/core/policy/policy.ts'
import { type Place, type PolicyError, PolicySource } from '../../../lib/core/policy/source.ts'
import type { Verdict } from '../../../lib/core/policy/verdict.ts'
import { readAction } from './action-file.ts'
import { effectOf } from './verdict-text.ts'

/** What somebody expects a policy to say of an action. */
export interface Case {
  name: string
  action: PolicyAction
  expect: RuleAction
  /** One of the rules that must have spoken, or `default`. */
  rule: string | null
}

export type ParsedCases = { ok: true; cases: Case[] } | { ok: false; errors: PolicyError[] }

const MAX_NAME = 200

/** Reads a file of cases as strictly as a policy. A file without cases proves nothing, and is refused. */
export function parseCases(text: string): ParsedCases {
  const source = new PolicySource(text)
  const root = source.root()
  const names = new Set<string>()
  const items = root?.items()
  if (items?.length === 0) root?.fail('there are no cases')
  const cases = (items ?? []).flatMap((item) => readCase(item, names) ?? [])
  const errors = source.errors.sort((a, b) => a.line - b.line || a.column - b.column)
  return errors.length === 0 ? { ok: true, cases } : { ok: false, errors }
}

function readCase(unnamed: Place, names: Set<string>): Case | undefined {
  const place = unnamed.labelled(labelOf(unnamed.value))
  const fields = place.fields(['name', 'action', 'expect', 'rule'])
  if (!fields) return undefined
  const name = fields.name ? fields.name.text(MAX_NAME) : place.missing('name')
  if (name !== undefined && names.has(name)) fields.name?.fail('another case has this name')
  if (name !== undefined) names.add(name)
  const action = fields.action ? readAction(fields.action) : place.missing('action')
  const expect = fields.expect ? fields.expect.oneOf(ACTIONS) : place.missing('expect')
  const rule = fields.rule ? fields.rule.text(MAX_NAME) : null
  if (name === undefined || !action || !expect || rule === undefined) return undefined
  return { name, action, expect, rule }
}

function labelOf(value: unknown): string {
  const name = typeof value === 'object' && value !== null && 'name' in value ? value.name : undefined
  return typeof name === 'string' ? `case "${name.slice(0, MAX_NAME)}"` : ''
}

/** A case and what the policy says instead. */
export interface Difference {
  case: Case
  verdict: Verdict
}

export const differences = (policy: CompiledPolicy, cases: readonly Case[]): Difference[] =>
  cases.flatMap((each) => {
    const verdict = evaluate(policy, each.action)
    const holds = effectOf(verdict) === each.expect && (each.rule === null || verdict.rule.ids.includes(each.rule))
    return holds ? [] : [{ case: each, verdict }]
  })
