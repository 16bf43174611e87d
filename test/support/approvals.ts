import { createHash, randomUUID } from 'node:crypto'
import { uuidv7obj } from 'uuidv7'
import type { Approver } from '../../lib/core/actor.ts'
import type { Approval } from '../../lib/core/approval.ts'
import type { ApprovalRequested, EventOf } from '../../lib/core/events.ts'
import { approvalIdFrom } from '../../lib/core/ids.ts'
import { type Command, createApproval, transition } from '../../lib/core/transition.ts'

/** When every built request is made, unless it says otherwise. */
export const REQUESTED_AT = Date.parse('2026-01-01T00:00:00Z')

export const ALICE: Approver = { id: 'key_alice', name: 'alice', type: 'user', via: 'http', groups: ['finance'] }

/** A request of a refund tool with a fresh id and a fingerprint of its own; `data` is what `overrides` changes. */
export function requestedEvent(overrides: Partial<ApprovalRequested> = {}): EventOf<'approval.requested'> {
  const data: ApprovalRequested = {
    id: approvalIdFrom(uuidv7obj().bytes),
    tenant: 'default',
    agent: { id: 'key_billing', name: 'billing', session: null, user: null },
    action: {
      kind: 'tool',
      tool: 'stripe.refund',
      method: null,
      target: null,
      summary: 'Refund 120.00 EUR to customer 42',
      preview: '{"amount":120}',
      previewTruncated: false,
      fingerprint: createHash('sha256').update(randomUUID()).digest('hex'),
    },
    rule: { id: 'big-refund', revision: 'r1', ids: ['big-refund'], why: ['args.amount > 100'] },
    risk: 'high',
    approvers: [],
    requirements: [],
    threshold: { approve: 1, deny: 1 },
    reasonRequired: [],
    holder: null,
    keep: false,
    denialMemoryMs: 300_000,
    requestedAt: REQUESTED_AT,
    timeoutMs: 300_000,
    findings: [],
    suggestion: null,
    escalation: [],
    onTimeout: 'deny',
    warnAfterMs: null,
    callback: null,
    ...overrides,
  }
  return { topic: 'approval.requested', eventId: `${data.id}:0`, at: data.requestedAt, data }
}

/** An approval by topic. */
export const decideEvent = ({
  data: { id, tenant },
  at,
}: EventOf<'approval.requested'>): EventOf<'approval.decide'> => ({
  topic: 'approval.decide',
  eventId: `${id}:decide`,
  at,
  data: {
    commandId: `${id}:decide`,
    id,
    tenant,
    decision: 'approve',
    actor: { id: 'key_alice', name: 'alice', type: 'user', via: 'topic' },
    reason: null,
    edits: null,
    at,
  },
})

/** A report that the call was executed. */
export const settledEvent = ({
  data: { id, tenant },
  at,
}: EventOf<'approval.requested'>): EventOf<'approval.settled'> => ({
  topic: 'approval.settled',
  eventId: `${id}:settled`,
  at,
  data: {
    id,
    tenant,
    use: 1,
    outcome: 'executed',
    status: 200,
    detail: null,
    gate: 'gate',
    settledAt: at,
    version: 4,
    historyHash: null,
  },
})

/** A pending record of such a request, with a history that verifies. */
export function anApproval(overrides: Partial<ApprovalRequested> = {}): Approval {
  const { data } = requestedEvent(overrides)
  return createApproval(data, data.requestedAt)
}

/** The record after a command that must apply. */
export function stepped(approval: Approval, command: Command, now = approval.requestedAt + 1_000): Approval {
  const result = transition(approval, command, now)
  if (result.kind !== 'applied') throw new Error(`${command.type} did not apply: ${JSON.stringify(result)}`)
  return result.approval
}

export const approved = (approval: Approval, now?: number): Approval =>
  stepped(approval, { type: 'decide', decision: 'approve', by: ALICE, reason: null, edits: null }, now)

export const denied = (approval: Approval, now?: number): Approval =>
  stepped(approval, { type: 'decide', decision: 'deny', by: ALICE, reason: null, edits: null }, now)

export const claimed = (approval: Approval, now?: number): Approval =>
  stepped(
    approval,
    {
      type: 'claim',
      agentId: approval.agent.id,
      fingerprint: approval.action.fingerprint,
      holder: 'gate:1:1',
      gate: 'gate',
      key: null,
      by: { id: approval.agent.id, name: approval.agent.name, type: 'agent', via: 'http' },
    },
    now,
  )

export const settled = (approval: Approval, now?: number): Approval =>
  stepped(
    approval,
    {
      type: 'settle',
      use: null,
      outcome: 'executed',
      status: 200,
      detail: null,
      gate: 'gate',
      by: { id: approval.agent.id, name: approval.agent.name, type: 'agent', via: 'http' },
    },
    now,
  )
