import type { Json } from '../../../lib/core/canonical-json.ts'
import type { PolicyAction } from '../../../lib/core/policy/action.ts'
import type { Policy } from '../../../lib/core/policy/policy.ts'
import { REDACTED } from '../../../lib/core/redaction.ts'
import type { ApprovalView } from '../../sdk/index.ts'
import { pathsOf } from './paths.ts'

/** How far what is judged is what the agent sent. */
export interface Fidelity {
  /** Secrets were masked: a rule that looks at them sees the mask. */
  masked: boolean
  /** Long values were cut, or left out. */
  truncated: boolean
}

export interface RecordedAction {
  action: PolicyAction
  fidelity: Fidelity
}

/** The action of a record, as far as the record has it; undefined for what it does not have enough of to be judged. */
export function recordedAction({ agent, action }: ApprovalView): RecordedAction | undefined {
  const { kind, tool, preview, previewTruncated } = action
  if ((kind !== 'tool' && kind !== 'hook') || tool === undefined) return undefined
  const args = jsonOf(preview)
  if (args === undefined) return undefined
  const { name, session = null, user = null } = agent
  const masked = [preview, session, user].some((text) => text?.includes(REDACTED))
  return {
    action: { kind: 'tool', tool, args, agent: { name }, context: { session, user } },
    fidelity: { masked, truncated: previewTruncated },
  }
}

function jsonOf(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** What rules of a policy look at and no record has: there, replaying says what they do without it. */
export function notRecorded({ rules }: Policy): string[] {
  const found = new Set<string>()
  for (const { match, when } of rules) {
    if (match.agentType) found.add('agentType')
    if (match.labels) found.add('labels')
    for (const path of when.flatMap(pathsOf)) {
      if (/\bcontext\.labels\b/.test(path)) found.add('labels')
      if (/\bcontext\.risk\b/.test(path)) found.add('context.risk')
    }
  }
  return [...found].sort()
}
