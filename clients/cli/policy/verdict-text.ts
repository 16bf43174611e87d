import { formatDuration } from '../../../lib/core/duration.ts'
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
      ]
    : []
  return [...needs, ...limits.map((limit) => `${limit.ruleId}: ${limitText(limit)}`)]
}

export const limitText = ({ limit, windowMs }: Verdict['limits'][number]): string =>
  `at most ${limit} in ${formatDuration(windowMs)}`
