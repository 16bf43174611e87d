import { formatDuration } from '../../../lib/core/duration.ts'
import type { EscalationStep } from '../../../lib/core/events.ts'
import type { RuleAction } from '../../../lib/core/policy/policy.ts'
import type { Verdict } from '../../../lib/core/policy/verdict.ts'

/** A verdict in one word; `rate_limit` where it allows within a limit. */
export const effectOf = ({ effect, limits }: Verdict): RuleAction =>
  effect === 'allow' && limits.length > 0 ? 'rate_limit' : effect

/** What an approval needs, and what a call spends; a line each. */
export function termsText({ approval, limits }: Verdict): string[] {
  const needs = approval
    ? [
        `within ${formatDuration(approval.timeoutMs)}`,
        `${approval.threshold.approve} to approve, ${approval.threshold.deny} to deny`,
        ...approval.requirements
          .filter(({ anyOf }) => anyOf.length > 0)
          .map(({ rule, anyOf, approve }) => `${rule}: ${approve} of ${anyOf.join(', ')}`),
        ...(approval.reasonRequired.length === 0 ? [] : [`a reason to ${approval.reasonRequired.join(' and to ')}`]),
        ...approval.escalation.map((step) => stepText(step, approval.timeoutMs)),
        ...(approval.onTimeout === 'escalate' ? ['the timeout takes the next step and begins anew'] : []),
      ]
    : []
  return [...needs, ...limits.map((limit) => `${limit.ruleId}: ${limitText(limit)}`)]
}

function stepText({ rule, afterMs, approvers, channels }: EscalationStep, timeoutMs: number): string {
  const people = approvers.length === 0 ? [] : [`also ${approvers.join(', ')}`]
  const told = channels.length === 0 ? [] : [`tells ${channels.join(', ')}`]
  const when = afterMs < timeoutMs ? `after ${formatDuration(afterMs)}` : 'at the timeout'
  return `${rule}: ${when} ${[...people, ...told].join('; ')}`
}

export const limitText = ({ limit, windowMs }: Verdict['limits'][number]): string =>
  `at most ${limit} in ${formatDuration(windowMs)}`
