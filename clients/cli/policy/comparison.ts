import { formatDuration } from '../../../lib/core/duration.ts'
import type { RuleAction } from '../../../lib/core/policy/policy.ts'
import type { Verdict } from '../../../lib/core/policy/verdict.ts'
import type { ApprovalView } from '../../sdk/index.ts'
import { effectOf, limitText } from './verdict-text.ts'

/** What was, or would be, done with an action. */
export interface Stand {
  effect: RuleAction
  rules: string[]
  /** By name, in words. */
  terms: Record<string, string>
}

export const CHANGES = ['noLongerAsked', 'nowDenied', 'nowAsked', 'nowAllowed', 'termsChanged', 'limitChanged'] as const
export type Change = (typeof CHANGES)[number]

export const CHANGE_WORDS: Record<Change, string> = {
  noLongerAsked: 'would no longer be asked',
  nowDenied: 'would now be denied',
  nowAsked: 'would now be asked',
  nowAllowed: 'would now be allowed',
  termsChanged: 'would have other terms',
  limitChanged: 'would be limited, or no longer limited',
}

type Terms = Pick<ApprovalView, 'approvers' | 'requirements' | 'threshold' | 'reasonRequired'> & { timeoutMs: number }

export function standOfRecord(record: ApprovalView): Stand {
  const timeoutMs = Date.parse(record.expiresAt) - Date.parse(record.requestedAt)
  const { timeout, approvers, requirements, ...lasting } = termsOf({ ...record, timeoutMs })
  // What an escalation moved is not what the rules asked for.
  const terms = record.escalated ? lasting : { ...lasting, timeout, approvers, requirements }
  return { effect: 'require_approval', rules: record.rule.ids, terms }
}

/** What a call spends stands on no record: there the limits make no difference. */
export const standOfVerdict = (verdict: Verdict): Stand => ({
  effect: effectOf(verdict),
  rules: verdict.rule.ids,
  terms: { ...(verdict.approval ? termsOf(verdict.approval) : {}), limits: verdict.limits.map(limitText).join('; ') },
})

/** Rules may have other names and ask for the same: requirements are compared by what they ask. */
function termsOf({ timeoutMs, approvers, requirements, threshold, reasonRequired }: Terms) {
  const demands = requirements.map(({ anyOf, approve }) => `${approve} of ${listed(anyOf) || 'anybody'}`)
  return {
    timeout: formatDuration(timeoutMs),
    approvers: listed(approvers) || 'anybody',
    threshold: `${threshold.approve} to approve, ${threshold.deny} to deny`,
    requirements: [...new Set(demands)].sort().join('; '),
    reason: listed(reasonRequired) || 'none',
  }
}

const listed = (names: readonly string[]): string => [...names].sort().join(', ')

/** What is different, or undefined; the name of the rule alone makes no difference. */
export function changeOf(before: Stand, after: Stand): Change | undefined {
  if (before.effect === after.effect) return changedTerms(before, after).length === 0 ? undefined : 'termsChanged'
  if (after.effect === 'deny') return 'nowDenied'
  if (after.effect === 'require_approval') return 'nowAsked'
  if (before.effect === 'require_approval') return 'noLongerAsked'
  return before.effect === 'deny' ? 'nowAllowed' : 'limitChanged'
}

/** `timeout 5m → 15m`, for each term that differs. */
export const changedTerms = (before: Stand, after: Stand): string[] =>
  Object.entries(after.terms).flatMap(([name, text]) => {
    const was = before.terms[name]
    return was === undefined || was === text ? [] : [`${name} ${was || 'none'} → ${text || 'none'}`]
  })
