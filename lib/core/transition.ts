import type { Actor, Approver } from './actor.ts'
import { GATE, SWEEPER } from './actor.ts'
import { type Approval, dueAt, isOverdue, isTimeUp, Status, type Vote } from './approval.ts'
import { assertNever } from './assert-never.ts'
import { requestHash } from './audit.ts'
import { sha256Hex } from './canonical-json.ts'
import type { ErrorCode } from './errors.ts'
import { goesOn, nextStep, stepAt, timeoutOf, votersOf, warnAt } from './escalation.ts'
import type { ApprovalRequested, DecisionWord, DomainEvent, EscalationStep, Outcome, SettleOutcome } from './events.ts'
import { Topic } from './events.ts'
import { appendHistory, type HistoryEvent } from './history.ts'
import { isByTopic, isSameVoter } from './voter.ts'

export type Command =
  | { type: 'decide'; decision: DecisionWord; by: Approver; reason: string | null; edits: string | null }
  /** `fingerprint` null claims on behalf of the connection itself: only a holder of the record may. */
  | {
      type: 'claim'
      agentId: string
      fingerprint: string | null
      holder: string
      gate: string
      key: string | null
      by: Actor
    }
  /** `use` null reports on the latest use. */
  | {
      type: 'settle'
      use: number | null
      outcome: SettleOutcome
      status: number | null
      detail: string | null
      gate: string
      by: Actor
    }
  /** `holder` null: nothing waits, but the call will come back. `callback` counts where the record has none. */
  | { type: 'join'; holder: string | null; keep: boolean; callback?: string | null }
  | { type: 'leave'; holder: string; intent: 'cancel' | 'keep' | 'stay' }
  | { type: 'cancel'; by: Actor; reason: string | null }
  /** What the sweeper does when the record is due: warn, escalate, expire, or close a claim that nobody settled. */
  | { type: 'timeout' }

export type Transition =
  | { kind: 'applied'; approval: Approval; events: DomainEvent[] }
  /** The record already says what the command wants. */
  | { kind: 'unchanged'; approval: Approval }
  | { kind: 'refused'; code: ErrorCode; detail: string; approval: Approval }

/** A holder is `gate:epoch:number`; a gate that started again leaves the holders of its former lives behind. */
export const holderId = (gate: string, epoch: number, number: number): string => `${gate}:${epoch}:${number}`

/** Read from the end: a gate's name may hold colons (`host:4100`). */
function holderParts(holder: string): { gate: string; epoch: number } {
  const parts = holder.split(':')
  return { gate: parts.slice(0, -2).join(':'), epoch: Number(parts.at(-2)) }
}

/** The record that an `approval.requested` makes. Its own events are none: the request is on the bus already. */
export function createApproval(event: ApprovalRequested, now: number): Approval {
  const approval: Approval = {
    id: event.id,
    tenant: event.tenant,
    status: Status.pending,
    version: 1,
    agent: event.agent,
    action: event.action,
    rule: event.rule,
    risk: event.risk,
    approvers: event.approvers,
    requirements: event.requirements,
    threshold: event.threshold,
    reasonRequired: event.reasonRequired,
    denialMemoryMs: event.denialMemoryMs,
    findings: event.findings,
    suggestion: event.suggestion,
    escalation: event.escalation,
    onTimeout: event.onTimeout,
    warnAfterMs: event.warnAfterMs,
    timeoutMs: event.timeoutMs,
    escalatedAt: [],
    warnedAt: null,
    callback: event.callback,
    requestedAt: event.requestedAt,
    expiresAt: event.requestedAt + event.timeoutMs,
    votes: [],
    decidedBy: [],
    decidedAt: null,
    reason: null,
    edits: null,
    holders: event.holder === null ? [] : [event.holder],
    keep: event.keep,
    claim: null,
    settlement: null,
    updatedAt: now,
    history: [],
    outbox: [],
  }
  return {
    ...approval,
    history: appendHistory([], { type: 'requested', requestHash: requestHash(approval) }, askerOf(event), now),
  }
}

const askerOf = ({ agent }: Pick<Approval, 'agent'>): Actor => ({
  id: agent.id,
  name: agent.name,
  type: 'agent',
  via: 'http',
})

/**
 * Everything that may happen to an approval. Pure: the same record, command and instant give the same answer.
 * The caller saves `approval` by compare-and-swap on the version it read; events are in its outbox.
 */
export function transition(approval: Approval, command: Command, now: number): Transition {
  // Also where the timeout would begin anew: that comes first, for a decision would last no longer than this one.
  if (isTimeUp(approval, now) && command.type !== 'timeout')
    return refuse(approval, 'approval_expired', 'Nobody decided in time; the approval has expired.')
  switch (command.type) {
    case 'decide':
      return decide(approval, command, now)
    case 'claim':
      return claim(approval, command, now)
    case 'settle':
      return settle(approval, command, now)
    case 'join':
      return join(approval, command, now)
    case 'leave':
      return leave(approval, command, now)
    case 'cancel':
      return cancel(approval, command.by, command.reason, now)
    case 'timeout':
      return timeout(approval, now)
    default:
      return assertNever(command)
  }
}

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>

function decide(approval: Approval, command: CommandOf<'decide'>, now: number): Transition {
  const { by, decision, reason, edits } = command
  const ineligible = ineligibility(approval, by)
  if (ineligible) return refuse(approval, ...ineligible)
  if (approval.status !== Status.pending) return decideAgain(approval, decision)

  if ((reason === null || reason.trim() === '') && approval.reasonRequired.includes(decision))
    return refuse(approval, 'reason_required', `The rule asks for a reason to ${decision}.`)
  if (edits !== null && decision === 'deny')
    return refuse(approval, 'edits_not_allowed', 'Only an approval can carry edits.')
  if (edits !== null && approval.action.fingerprint === null)
    return refuse(approval, 'edits_not_allowed', 'The arguments were not read whole, so they cannot be edited.')

  const mine = approval.votes.find((vote) => isSameVoter(vote.by, by))
  if (mine && mine.decision !== decision)
    return refuse(approval, 'already_voted', `You have voted to ${mine.decision} already.`)
  const meets = votersOf(approval)
    .requirements.filter(({ rule, anyOf }) => mine?.meets.includes(rule) || mayVote(anyOf, by))
    .map(({ rule }) => rule)
  // Since an escalation the same approval may count for more rules.
  if (mine && (decision === 'deny' || meets.length === mine.meets.length)) return { kind: 'unchanged', approval }

  const vote: Vote = {
    by: { id: by.id, name: by.name, type: by.type, via: by.via },
    decision,
    reason,
    at: now,
    meets,
  }
  const votes = [...approval.votes.filter((each) => each !== mine), vote]
  const isSettled = isSettledBy(approval, votes, decision)
  // Whoever approves edits approves other arguments than those who voted before, or must vote after.
  if (edits !== null && !(isSettled && approval.votes.every((each) => each.decision === 'deny')))
    return refuse(approval, 'edits_not_allowed', SEVERAL_VOTES)
  if (!isSettled) return write({ ...approval, votes }, { type: 'voted', decision, reason, meets }, by, now)

  const decided: Approval = {
    ...approval,
    votes,
    status: decision === 'approve' ? Status.approved : Status.denied,
    decidedBy: votes.filter((each) => each.decision === decision).map((each) => each.by),
    decidedAt: now,
    reason,
    edits,
  }
  const event: HistoryEvent =
    decision === 'approve'
      ? { type: 'approved', decision, reason, meets, editsHash: edits === null ? null : sha256Hex(edits) }
      : { type: 'denied', decision, reason, meets }
  return write(decided, event, by, now)
}

const SEVERAL_VOTES = 'This approval needs several votes, and all must be for the same arguments.'

/** The standing decision wins: the same word again changes nothing, the other one is refused. */
function decideAgain(approval: Approval, decision: DecisionWord): Transition {
  const { status } = approval
  if (status === Status.expired) return refuse(approval, 'approval_expired', 'The approval has expired.')
  if (status === Status.cancelled) return refuse(approval, 'approval_cancelled', 'The request was withdrawn.')
  if (status === Status.denied && decision === 'deny') return { kind: 'unchanged', approval }
  if ((status === Status.approved || status === Status.claimed) && decision === 'approve')
    return { kind: 'unchanged', approval }
  const standing = status === Status.denied ? 'denied' : 'approved'
  const names = approval.decidedBy.map((by) => by.name).join(', ')
  return refuse(approval, 'already_decided', `It was ${standing} already by ${names}.`)
}

/** Why this person may not vote, or undefined. */
function ineligibility(approval: Approval, by: Approver): [ErrorCode, string] | undefined {
  const { agent } = approval
  if (by.id === agent.id || by.name === agent.name || (agent.user !== null && isPerson(by, agent.user)))
    return ['self_approval', 'The request is yours: somebody else must decide.']
  const { approvers } = votersOf(approval)
  if (!mayVote(approvers, by)) return ['not_an_approver', `This request is for ${approvers.join(', ')}.`]
  return undefined
}

const isPerson = (by: Approver, name: string): boolean =>
  by.name === name || (by.email !== undefined && by.email === name)

/** An empty list is open to every approver; on any other stand people who have shown who they are. */
const mayVote = (anyOf: readonly string[], by: Approver): boolean =>
  anyOf.length === 0 ||
  (!isByTopic(by) &&
    anyOf.some((entry) =>
      entry.startsWith('group:') ? by.groups.includes(entry.slice('group:'.length)) : isPerson(by, entry),
    ))

/** Deny: enough votes. Approve: enough votes in all, and enough for each rule that asked. */
function isSettledBy(approval: Approval, votes: readonly Vote[], decision: DecisionWord): boolean {
  const same = votes.filter((vote) => vote.decision === decision)
  if (decision === 'deny') return same.length >= approval.threshold.deny
  return (
    same.length >= approval.threshold.approve &&
    approval.requirements.every(
      ({ rule, approve }) => same.filter((vote) => vote.meets.includes(rule)).length >= approve,
    )
  )
}

function claim(approval: Approval, command: CommandOf<'claim'>, now: number): Transition {
  if (command.agentId !== approval.agent.id) return refuse(approval, 'approval_not_found', 'No such approval.')
  const { fingerprint } = approval.action
  if (command.fingerprint !== fingerprint)
    return refuse(
      approval,
      'approval_not_found',
      'That approval is for another call: the arguments or the rules differ.',
    )
  if (fingerprint === null && !approval.holders.includes(command.holder))
    return refuse(approval, 'approval_not_found', 'That approval serves only the connection that asked for it.')

  switch (approval.status) {
    case Status.pending:
      return { kind: 'unchanged', approval }
    case Status.approved: {
      const { holder, gate, key } = command
      const use = usesOf(approval) + 1
      const claimed: Approval = {
        ...approval,
        status: Status.claimed,
        claim: { holder, gate, key, use, at: now },
        holders: [],
      }
      return write(claimed, { type: 'claimed', holder, gate, key, use }, command.by, now)
    }
    case Status.claimed:
    case Status.settled:
      return refuse(approval, 'already_used', 'The approval was used already; call again to ask anew.')
    case Status.denied:
      return refuse(approval, 'approval_denied', 'An approver denied this call.')
    case Status.expired:
      return refuse(approval, 'approval_expired', 'Nobody decided in time.')
    case Status.cancelled:
      return refuse(approval, 'approval_cancelled', 'The request was withdrawn.')
    default:
      return assertNever(approval.status)
  }
}

/** Each use has one outcome: a report that comes twice, or late, never touches a later use. */
function settle(approval: Approval, command: CommandOf<'settle'>, now: number): Transition {
  const { outcome, status, detail, gate, by } = command
  const uses = usesOf(approval)
  const use = command.use ?? uses
  if (use < 1 || use > uses)
    return refuse(approval, 'invalid_request', `Nothing to report: the approval is ${approval.status}, not in use.`)
  const told = approval.history.find(
    (entry) => (entry.type === 'returned' || entry.type === 'settled') && entry.use === use,
  )
  if (told && 'outcome' in told)
    return told.outcome === outcome
      ? { kind: 'unchanged', approval }
      : refuse(approval, 'already_used', `The outcome on record is ${told.outcome}.`)

  const report = { outcome, status, detail, gate }
  return outcome === 'not_executed'
    ? write({ ...approval, status: Status.approved, claim: null }, { type: 'returned', use, ...report }, by, now)
    : write(
        { ...approval, status: Status.settled, settlement: { ...report, at: now } },
        { type: 'settled', use, ...report },
        by,
        now,
      )
}

const usesOf = ({ history }: Approval): number => history.filter(({ type }) => type === 'claimed').length

function join(approval: Approval, { holder, keep, callback = null }: CommandOf<'join'>, now: number): Transition {
  if (approval.status !== Status.pending) return { kind: 'unchanged', approval }
  const holders = holder === null ? approval.holders : [...withoutFormerLives(approval.holders, holder), holder]
  const joined: Approval = { ...approval, holders, keep: approval.keep || keep }
  if (callback === null || (approval.callback ?? null) !== null) return touch(joined, now)
  const event: HistoryEvent = { type: 'joined', callbackHash: sha256Hex(callback) }
  return write({ ...joined, callback }, event, askerOf(approval), now)
}

/** A gate that started again has lost the connections of its former lives. */
function withoutFormerLives(holders: readonly string[], holder: string): string[] {
  const { gate, epoch } = holderParts(holder)
  return holders.filter((each) => {
    const other = holderParts(each)
    return each !== holder && !(other.gate === gate && other.epoch < epoch)
  })
}

function leave(approval: Approval, command: CommandOf<'leave'>, now: number): Transition {
  if (approval.status !== Status.pending || !approval.holders.includes(command.holder))
    return { kind: 'unchanged', approval }
  const holders = approval.holders.filter((each) => each !== command.holder)
  const left: Approval = { ...approval, holders, keep: approval.keep || command.intent === 'keep' }
  if (command.intent === 'cancel' && holders.length === 0 && !left.keep)
    return cancel(left, GATE, 'The agent disconnected.', now)
  return touch(left, now)
}

function cancel(approval: Approval, by: Actor, reason: string | null, now: number): Transition {
  if (approval.status === Status.cancelled) return { kind: 'unchanged', approval }
  if (approval.status !== Status.pending)
    return refuse(approval, 'already_decided', `It is too late to withdraw: the approval is ${approval.status}.`)
  const cancelled: Approval = { ...approval, status: Status.cancelled, decidedAt: now, reason, holders: [] }
  return write(cancelled, { type: 'cancelled', reason }, by, now)
}

/** One thing at a time, as it came: the record is due again when there is more. */
function timeout(approval: Approval, now: number): Transition {
  const step = nextStep(approval)
  if (step && approval.status === Status.pending && (now < approval.expiresAt || goesOn(approval))) {
    // Also when it is so late that the timeout has come: that takes the step behind it.
    if (now >= (stepAt(approval) ?? Infinity)) return escalate(approval, step, now, approval.expiresAt)
    if (now >= approval.expiresAt) return escalate(approval, step, now, now + timeoutOf(approval))
  }
  if (isOverdue(approval, now)) {
    const expired: Approval = { ...approval, status: Status.expired, decidedAt: now, holders: [] }
    return write(expired, { type: 'expired' }, SWEEPER, now)
  }
  if (approval.status === Status.pending && now >= (warnAt(approval) ?? Infinity))
    return write({ ...approval, warnedAt: now }, { type: 'warned', expiresAt: approval.expiresAt }, SWEEPER, now)
  if (approval.status === Status.claimed && now >= (dueAt(approval) ?? Number.POSITIVE_INFINITY)) {
    const detail = 'No outcome was reported in time; the call may have run.'
    const gate = approval.claim?.gate ?? ''
    return settle(
      approval,
      { type: 'settle', use: null, outcome: 'unknown', status: null, detail, gate, by: SWEEPER },
      now,
    )
  }
  return { kind: 'unchanged', approval }
}

/** A timeout that begins anew has its own warning. */
function escalate(approval: Approval, step: EscalationStep, now: number, expiresAt: number): Transition {
  const { escalatedAt = [], warnedAt = null } = approval
  const { approvers: added, channels } = step
  const escalated: Approval = {
    ...approval,
    escalatedAt: [...escalatedAt, now],
    expiresAt,
    warnedAt: expiresAt === approval.expiresAt ? warnedAt : null,
  }
  return write(escalated, { type: 'escalated', step: escalatedAt.length + 1, added, channels, expiresAt }, SWEEPER, now)
}

const refuse = (approval: Approval, code: ErrorCode, detail: string): Transition => ({
  kind: 'refused',
  code,
  detail,
  approval,
})

/** A write that is no step of the record's life (who waits for it): it has a version, but no history and no event. */
const touch = (approval: Approval, now: number): Transition => ({
  kind: 'applied',
  approval: { ...approval, version: approval.version + 1, updatedAt: now },
  events: [],
})

/** A step of the record's life: history and outbox grow with it. */
function write(next: Approval, event: HistoryEvent, by: Actor, now: number): Transition {
  const history = appendHistory(next.history, event, by, now)
  const stepped: Approval = { ...next, version: next.version + 1, updatedAt: now, history }
  const events = eventsOf(stepped, event, by)
  return { kind: 'applied', approval: { ...stepped, outbox: [...stepped.outbox, ...events] }, events }
}

const OUTCOMES = new Set<string>([Status.approved, Status.denied, Status.expired, Status.cancelled])

function eventsOf(approval: Approval, event: HistoryEvent, by: Actor): DomainEvent[] {
  const { id, tenant, version, updatedAt: at } = approval
  const historyHash = approval.history.at(-1)?.hash ?? ''
  const eventId = `${id}:${version}`
  if (event.type === 'settled' || event.type === 'returned') {
    const { use, outcome, status, detail, gate } = event
    const data = { id, tenant, use, outcome, status, detail, gate, settledAt: at, version, historyHash }
    return [{ topic: Topic.settled, eventId, at, data }]
  }
  if (event.type === 'warned') {
    const data = { id, tenant, expiresAt: event.expiresAt, version, historyHash, at }
    return [{ topic: Topic.expiring, eventId, at, data }]
  }
  if (event.type === 'escalated') {
    const { step, added, channels, expiresAt } = event
    const { approvers, requirements } = votersOf(approval)
    const data = { id, tenant, step, approvers, requirements, added, channels, expiresAt, version, historyHash, at }
    return [{ topic: Topic.escalated, eventId, at, data }]
  }
  if (!OUTCOMES.has(event.type)) return []
  const data = {
    id,
    tenant,
    outcome: approval.status as Outcome,
    // Nobody decided an expiry, even where somebody had approved what then ran out unused.
    decidedBy: event.type === 'cancelled' ? [by] : event.type === 'expired' ? [] : approval.decidedBy,
    reason: approval.reason,
    edited: approval.edits !== null,
    decidedAt: at,
    version,
    fingerprint: approval.action.fingerprint,
    historyHash,
  }
  return [{ topic: Topic.decided, eventId, at, data }]
}
