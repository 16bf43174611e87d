import type { Actor, Approver } from '../../../lib/core/actor.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import type { ErrorCode } from '../../../lib/core/errors.ts'
import type { ApprovalRequested, DecisionWord } from '../../../lib/core/events.ts'
import { type Command, createApproval, type Transition, transition } from '../../../lib/core/transition.ts'

export const REQUESTED_AT = Date.UTC(2026, 0, 1)
export const TIMEOUT_MS = 60_000
export const FINGERPRINT = 'f'.repeat(64)
export const AGENT = { id: 'key_agent', name: 'billing', session: 's1', user: 'erin@example.com' }
export const BY_AGENT: Actor = { id: AGENT.id, name: AGENT.name, type: 'agent', via: 'http' }

export const requested = (more: Partial<ApprovalRequested> = {}): ApprovalRequested => ({
  id: 'apr_01jd0000000000000000000000',
  tenant: 'default',
  agent: AGENT,
  action: {
    kind: 'tool',
    tool: 'stripe.refund',
    method: null,
    target: null,
    summary: 'stripe.refund  amount=5000',
    preview: '{"amount":5000}',
    previewTruncated: false,
    fingerprint: FINGERPRINT,
  },
  rule: { id: 'big', revision: '0123456789abcdef', ids: ['big'], why: ['args.amount is over 50'] },
  risk: 'high',
  approvers: [],
  requirements: [{ rule: 'big', anyOf: [], approve: 1 }],
  threshold: { approve: 1, deny: 1 },
  reasonRequired: [],
  holder: 'gate:1:1',
  keep: false,
  denialMemoryMs: 300_000,
  requestedAt: REQUESTED_AT,
  timeoutMs: TIMEOUT_MS,
  findings: [],
  suggestion: null,
  escalation: [],
  onTimeout: 'deny',
  warnAfterMs: null,
  callback: null,
  ...more,
})

export const pending = (more: Partial<ApprovalRequested> = {}): Approval =>
  createApproval(requested(more), REQUESTED_AT)

export const person = (name: string, groups: string[] = [], more: Partial<Approver> = {}): Approver => ({
  id: `key_${name}`,
  name,
  type: 'user',
  via: 'http',
  groups,
  ...more,
})

export const decide = (
  by: Approver,
  decision: DecisionWord,
  { reason = null, edits = null }: { reason?: string | null; edits?: string | null } = {},
): Command => ({ type: 'decide', decision, by, reason, edits })

export const claim = (more: Partial<Extract<Command, { type: 'claim' }>> = {}): Command => ({
  type: 'claim',
  agentId: AGENT.id,
  fingerprint: FINGERPRINT,
  holder: 'gate:1:1',
  gate: 'gate',
  key: null,
  by: BY_AGENT,
  ...more,
})

export const settle = (
  outcome: 'executed' | 'failed' | 'not_executed' | 'unknown',
  use: number | null = null,
): Command => ({
  type: 'settle',
  use,
  outcome,
  status: 200,
  detail: 'done',
  gate: 'gate',
  by: BY_AGENT,
})

/** The record after these commands, all of which must be applied. */
export function recordAfter(approval: Approval, ...commands: Command[]): Approval {
  return commands.reduce((record, command, index) => {
    const result = transition(record, command, REQUESTED_AT + index + 1)
    if (result.kind !== 'applied') throw new Error(`${command.type} was ${JSON.stringify(result)}`)
    return result.approval
  }, approval)
}

/** `applied`, `unchanged`, or the code of the refusal. */
export const answer = (result: Transition): 'applied' | 'unchanged' | ErrorCode =>
  result.kind === 'refused' ? result.code : result.kind
