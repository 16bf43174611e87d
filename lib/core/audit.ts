import { type Approval, Status } from './approval.ts'
import { canonicalJson, sha256Hex } from './canonical-json.ts'
import { brokenLink } from './history.ts'
import { isSameVoter } from './voter.ts'

/** Hash of what never changes in a record: what was asked, by whom, under which rules. The first history entry holds it. */
export function requestHash(approval: Approval): string {
  const { id, tenant, agent, action, rule, risk, approvers, requirements, threshold, reasonRequired } = approval
  const { denialMemoryMs, findings, suggestion, requestedAt, expiresAt, timeoutMs } = approval
  const { escalation, onTimeout, warnAfterMs, callback } = approval
  return sha256Hex(
    canonicalJson({
      id,
      tenant,
      agent,
      action,
      rule,
      risk,
      approvers,
      requirements,
      threshold,
      reasonRequired,
      denialMemoryMs,
      // A record without them hashes as it did before there were any.
      findings,
      suggestion,
      escalation,
      onTimeout,
      warnAfterMs,
      callback,
      requestedAt,
      // The end of a timeout that may begin anew is what the history says.
      ...(timeoutMs === undefined ? { expiresAt } : { timeoutMs }),
    }),
  )
}

/**
 * What is wrong with a stored record, one line per fault; empty when it is sound. The chain must hold, and every field
 * must be what the history says: a changed entry, a changed field, and a missing or added entry all show.
 */
export function auditApproval(approval: Approval): string[] {
  try {
    return faultsOf(approval)
  } catch {
    // A stored record can be damaged in any way: what cannot even be read is a fault too.
    return ['the record cannot be read']
  }
}

function faultsOf(approval: Approval): string[] {
  const { history } = approval
  const broken = brokenLink(history)
  if (broken !== undefined) return [`history entry ${broken} was changed, removed or added`]

  const faults: string[] = []
  const expect = (field: string, stored: unknown, told: unknown) => {
    if (canonicalJson(stored ?? null) !== canonicalJson(told ?? null))
      faults.push(`${field} is not what the history says`)
  }
  const first = history[0]
  if (first?.type !== 'requested') return ['the history does not begin with the request']
  expect('the request', requestHash(asAsked(approval)), first.requestHash)

  const told = replay(approval)
  if (told.callbackHash !== null) expect('callback', sha256Hex(approval.callback ?? ''), told.callbackHash)
  expect('status', approval.status, told.status)
  expect('votes', approval.votes, told.votes)
  expect('expiresAt', approval.expiresAt, told.expiresAt)
  const { escalatedAt = [] } = approval
  expect('escalatedAt', escalatedAt, told.escalatedAt)
  expect('warnedAt', approval.warnedAt, told.warnedAt)
  expect('decidedAt', approval.decidedAt, told.decidedAt)
  expect('decidedBy', approval.decidedBy, told.decidedBy)
  expect('reason', approval.reason, told.reason)
  expect('edits', approval.edits === null ? null : sha256Hex(approval.edits), told.editsHash)
  expect('claim', approval.claim, told.claim)
  expect('settlement', approval.settlement, told.settlement)
  return faults
}

/** As it was requested: a callback that came with a later call was not there. */
function asAsked(approval: Approval): Approval {
  if (!approval.history.some(({ type }) => type === 'joined')) return approval
  const { callback: _, ...asked } = approval
  // A record that is older than callbacks has none, and not null.
  return asked.timeoutMs === undefined ? asked : { ...asked, callback: null }
}

/** The changing part of a record as its history tells it. */
function replay({ history, requestedAt, timeoutMs, expiresAt }: Approval) {
  const told = {
    status: Status.pending as Status,
    votes: [] as Approval['votes'],
    expiresAt: timeoutMs === undefined ? expiresAt : requestedAt + timeoutMs,
    escalatedAt: [] as number[],
    warnedAt: null as number | null,
    decidedAt: null as number | null,
    decidedBy: [] as Approval['decidedBy'],
    reason: null as string | null,
    editsHash: null as string | null,
    claim: null as Approval['claim'],
    settlement: null as Approval['settlement'],
    callbackHash: null as string | null,
  }
  for (const entry of history) {
    const { at, by } = entry
    switch (entry.type) {
      case 'requested':
        break
      case 'joined':
        told.callbackHash = entry.callbackHash
        break
      case 'voted':
      case 'approved':
      case 'denied':
        told.votes = told.votes.filter((vote) => !isSameVoter(vote.by, by))
        told.votes.push({ by, decision: entry.decision, reason: entry.reason, at, meets: entry.meets })
        if (entry.type === 'voted') break
        told.status = entry.type
        told.decidedAt = at
        told.decidedBy = told.votes.filter((vote) => vote.decision === entry.decision).map((vote) => vote.by)
        told.reason = entry.reason
        told.editsHash = entry.type === 'approved' ? entry.editsHash : null
        break
      case 'warned':
        told.warnedAt = at
        break
      case 'escalated':
        told.escalatedAt.push(at)
        if (entry.expiresAt !== told.expiresAt) told.warnedAt = null
        told.expiresAt = entry.expiresAt
        break
      case 'expired':
        told.status = Status.expired
        told.decidedAt = at
        break
      case 'cancelled':
        told.status = Status.cancelled
        told.decidedAt = at
        told.reason = entry.reason
        break
      case 'claimed':
        told.status = Status.claimed
        told.claim = { holder: entry.holder, gate: entry.gate, key: entry.key, use: entry.use, at }
        break
      case 'returned':
        told.status = Status.approved
        told.claim = null
        break
      case 'settled':
        told.status = Status.settled
        told.settlement = { outcome: entry.outcome, status: entry.status, detail: entry.detail, gate: entry.gate, at }
        break
    }
  }
  return told
}
