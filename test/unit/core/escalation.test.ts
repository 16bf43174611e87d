import { describe, expect, it } from 'vitest'
import { type Approval, dueAt, isBehind, isOverdue } from '../../../lib/core/approval.ts'
import { auditApproval } from '../../../lib/core/audit.ts'
import type { ApprovalRequested, EscalationStep } from '../../../lib/core/events.ts'
import { transition } from '../../../lib/core/transition.ts'
import { viewOf } from '../../../lib/core/view.ts'
import { answer, decide, pending, person, REQUESTED_AT, recordAfter, TIMEOUT_MS } from './fixture.ts'

const alice = person('alice')
const mona = person('mona', ['managers'])
const zoe = person('zoe', ['board'])

const step = (afterMs: number, more: Partial<EscalationStep> = {}): EscalationStep => ({
  rule: 'big',
  afterMs,
  approvers: ['group:managers'],
  channels: [],
  ...more,
})
const asked = (more: Partial<ApprovalRequested> = {}): Approval =>
  pending({
    approvers: ['alice'],
    requirements: [{ rule: 'big', anyOf: ['alice'], approve: 1 }],
    warnAfterMs: 40_000,
    escalation: [step(20_000), step(50_000, { approvers: [], channels: ['oncall'] })],
    ...more,
  })

/** The record after the sweeper was there at each of these times after the request; each visit must do something. */
const swept = (record: Approval, ...times: number[]): Approval =>
  times.reduce((before, ms) => {
    const result = transition(before, { type: 'timeout' }, REQUESTED_AT + ms)
    if (result.kind !== 'applied') throw new Error(`nothing was due after ${ms} ms`)
    return result.approval
  }, record)
const kinds = ({ history }: Approval) => history.map(({ type }) => type)
const dueAfter = (record: Approval) => (dueAt(record) ?? Number.NaN) - REQUESTED_AT

describe('while nobody decides', () => {
  it('what is due comes in the order of time', () => {
    let record = asked()
    const came: [number, string | undefined][] = []
    while (record.status === 'pending') {
      const due = dueAfter(record)
      const early = transition(record, { type: 'timeout' }, REQUESTED_AT + due - 1)
      expect(early).toEqual({ kind: 'unchanged', approval: record })
      record = swept(record, due)
      came.push([due, record.history.at(-1)?.type])
      expect(auditApproval(record)).toEqual([])
    }
    expect(came).toEqual([
      [20_000, 'escalated'],
      [40_000, 'warned'],
      [50_000, 'escalated'],
      [TIMEOUT_MS, 'expired'],
    ])
    expect(record.outbox.map(({ topic }) => topic)).toEqual([
      'approval.escalated',
      'approval.expiring',
      'approval.escalated',
      'approval.decided',
    ])
    expect(dueAt(record)).toBeNull()
  })

  it('each tells what holds from then on', () => {
    const record = swept(asked(), 20_000, 40_000)
    const [entry] = record.history.slice(1)
    expect(record.outbox[0]).toEqual({
      topic: 'approval.escalated',
      eventId: `${record.id}:2`,
      at: REQUESTED_AT + 20_000,
      data: {
        id: record.id,
        tenant: 'default',
        step: 1,
        approvers: ['alice', 'group:managers'],
        requirements: [{ rule: 'big', anyOf: ['alice', 'group:managers'], approve: 1 }],
        added: ['group:managers'],
        channels: [],
        expiresAt: REQUESTED_AT + TIMEOUT_MS,
        version: 2,
        historyHash: entry?.hash,
        at: REQUESTED_AT + 20_000,
      },
    })
    expect(entry?.by).toMatchObject({ type: 'system', via: 'sweeper' })
    expect(viewOf(record)).toMatchObject({
      approvers: ['alice', 'group:managers'],
      warnedAt: '2026-01-01T00:00:40.000Z',
      escalated: [{ at: '2026-01-01T00:00:20.000Z', approvers: ['group:managers'], channels: [] }],
    })
    expect(viewOf(asked())).not.toHaveProperty('escalated')
    expect(viewOf(asked())).not.toHaveProperty('warnedAt')
  })

  it('nothing comes once it is decided', () => {
    const approved = recordAfter(asked(), decide(alice, 'approve'))
    for (const ms of [20_000, 40_000, 50_000, TIMEOUT_MS - 1])
      expect(transition(approved, { type: 'timeout' }, REQUESTED_AT + ms).kind).toBe('unchanged')
    expect(dueAfter(approved)).toBe(TIMEOUT_MS)
    expect(kinds(swept(approved, TIMEOUT_MS))).toEqual(['requested', 'approved', 'expired'])
  })

  it('what a late sweeper missed is not made up for after the end', () => {
    expect(kinds(swept(asked(), TIMEOUT_MS))).toEqual(['requested', 'expired'])
  })

  it('a record that was written before there were steps has none', () => {
    const { escalation, escalatedAt, onTimeout, warnAfterMs, warnedAt, timeoutMs, callback, ...old } = pending()
    expect(dueAfter(old)).toBe(TIMEOUT_MS)
    expect(swept(old, TIMEOUT_MS).status).toBe('expired')
    expect(viewOf(old)).toEqual(viewOf(pending()))
  })
})

describe('a step', () => {
  it('lets more people vote, from its time on', () => {
    const at = (ms: number, record = asked()) => transition(record, decide(mona, 'approve'), REQUESTED_AT + ms)
    expect(answer(at(19_999))).toBe('not_an_approver')
    expect(isBehind(asked(), REQUESTED_AT + 19_999)).toBe(false)
    expect(isBehind(asked(), REQUESTED_AT + 20_000)).toBe(true)
    expect(at(20_000, swept(asked(), 20_000)).approval.status).toBe('approved')
    expect(answer(transition(swept(asked(), 20_000), decide(zoe, 'deny'), REQUESTED_AT + 20_000))).toBe(
      'not_an_approver',
    )
  })

  it('opens nothing that everybody may do, and closes nothing either', () => {
    const open = swept(asked({ approvers: [], requirements: [{ rule: 'big', anyOf: [], approve: 1 }] }), 20_000)
    expect(viewOf(open)).toMatchObject({ approvers: [], requirements: [{ anyOf: [] }] })
    expect(transition(open, decide(zoe, 'approve'), REQUESTED_AT + 20_000).approval.status).toBe('approved')
  })

  it('keeps the votes that were cast, and widens the demand of its own rule alone', () => {
    const two = asked({
      approvers: ['alice', 'carol'],
      requirements: [
        { rule: 'big', anyOf: ['alice'], approve: 1 },
        { rule: 'other', anyOf: ['carol'], approve: 1 },
      ],
    })
    const voted = swept(recordAfter(two, decide(alice, 'approve')), 20_000)
    expect(voted.votes).toHaveLength(1)
    const again = transition(voted, decide(mona, 'approve'), REQUESTED_AT + 20_001)
    expect(again.approval.status).toBe('pending')
    expect(transition(again.approval, decide(person('carol'), 'approve'), REQUESTED_AT + 20_002).approval.status).toBe(
      'approved',
    )
  })

  it('makes a vote that was cast count for one rule more when it is given again', () => {
    const two = asked({
      approvers: ['mona', 'carol'],
      requirements: [
        { rule: 'other', anyOf: ['mona'], approve: 1 },
        { rule: 'big', anyOf: ['carol'], approve: 1 },
      ],
    })
    const voted = recordAfter(two, decide(mona, 'approve', { reason: 'first' }))
    expect(answer(transition(voted, decide(mona, 'approve'), REQUESTED_AT + 2))).toBe('unchanged')
    const wider = swept(voted, 20_000)
    // Groups may have changed since: what the vote met, it still meets.
    expect(answer(transition(voted, decide(person('mona'), 'approve'), REQUESTED_AT + 2))).toBe('unchanged')
    expect(answer(transition(wider, decide(mona, 'deny'), REQUESTED_AT + 20_001))).toBe('already_voted')
    const { approval } = transition(wider, decide(mona, 'approve', { reason: 'second' }), REQUESTED_AT + 20_001)
    expect(approval).toMatchObject({
      status: 'approved',
      votes: [{ by: { name: 'mona' }, reason: 'second', meets: ['other', 'big'] }],
      decidedBy: [{ name: 'mona' }],
    })
    expect(auditApproval(approval)).toEqual([])
  })
})

describe('a timeout that escalates', () => {
  it('takes a step that has no time of its own, however late the one before was', () => {
    const steps = asked({ onTimeout: 'escalate', warnAfterMs: null, escalation: [step(TIMEOUT_MS), step(TIMEOUT_MS)] })
    const once = swept(steps, TIMEOUT_MS + 7)
    expect(dueAfter(once)).toBe(2 * TIMEOUT_MS + 7)
    const twice = swept(once, 2 * TIMEOUT_MS + 7)
    expect([twice.escalatedAt?.length, dueAfter(twice)]).toEqual([2, 3 * TIMEOUT_MS + 7])
  })

  it('leaves a step that has a time of its own to that, also when both come late', () => {
    const late = TIMEOUT_MS + 6_000
    const both = asked({ onTimeout: 'escalate', warnAfterMs: null, escalation: [step(30_000), step(TIMEOUT_MS)] })
    expect(isOverdue(both, REQUESTED_AT + late)).toBe(false)
    const timed = swept(both, late)
    expect(timed).toMatchObject({ escalatedAt: [REQUESTED_AT + late], expiresAt: REQUESTED_AT + TIMEOUT_MS })
    expect(isBehind(timed, REQUESTED_AT + late)).toBe(true)
    const anew = swept(timed, late)
    expect([anew.escalatedAt?.length, dueAfter(anew)]).toEqual([2, late + TIMEOUT_MS])
    const ended = swept(anew, late + TIMEOUT_MS)
    expect(kinds(ended)).toEqual(['requested', 'escalated', 'escalated', 'expired'])
    expect(auditApproval(ended)).toEqual([])
  })

  it('ends the record where only steps with a time of their own are left, however late they are', () => {
    const timed = asked({ onTimeout: 'escalate', warnAfterMs: null, escalation: [step(30_000)] })
    expect(isOverdue(timed, REQUESTED_AT + TIMEOUT_MS)).toBe(true)
    expect(kinds(swept(timed, TIMEOUT_MS + 6_000))).toEqual(['requested', 'expired'])
  })

  const terms = { onTimeout: 'escalate', escalation: [step(30_000), step(TIMEOUT_MS)] } as const
  const record = () => asked({ ...terms, escalation: [...terms.escalation] })

  it('takes the next step and begins anew, with a warning of its own, until no step is left', () => {
    const once = swept(record(), 30_000, 40_000, TIMEOUT_MS + 500)
    expect(kinds(once)).toEqual(['requested', 'escalated', 'warned', 'escalated'])
    expect(once).toMatchObject({ status: 'pending', expiresAt: REQUESTED_AT + 2 * TIMEOUT_MS + 500, warnedAt: null })
    expect(dueAfter(once)).toBe(TIMEOUT_MS + 500 + 40_000)
    expect(auditApproval(once)).toEqual([])
    const last = swept(once, TIMEOUT_MS + 40_500, 2 * TIMEOUT_MS + 500)
    expect(kinds(last).slice(4)).toEqual(['warned', 'expired'])
    expect(auditApproval(last)).toEqual([])
  })

  it('is no end: the record is behind, and not over', () => {
    const at = REQUESTED_AT + TIMEOUT_MS
    const before = swept(record(), 30_000)
    expect([isBehind(before, at), isOverdue(before, at)]).toEqual([true, false])
    const last = swept(before, TIMEOUT_MS)
    expect(isOverdue(last, at + TIMEOUT_MS)).toBe(true)
  })

  it('comes before a decision, which would not outlast it', () => {
    const before = swept(record(), 30_000)
    const at = REQUESTED_AT + TIMEOUT_MS
    expect(answer(transition(before, decide(alice, 'approve'), at))).toBe('approval_expired')
    const { approval } = transition(swept(before, TIMEOUT_MS), decide(alice, 'approve'), at)
    expect(approval).toMatchObject({ status: 'approved', expiresAt: at + TIMEOUT_MS })
    expect(isOverdue(approval, at + TIMEOUT_MS)).toBe(true)
  })

  it('ends what was approved: that is no question any more', () => {
    const approved = recordAfter(record(), decide(alice, 'approve'))
    expect(swept(approved, TIMEOUT_MS).status).toBe('expired')
  })
})

it('the audit shows a step that was added, moved or taken back, and a time that was moved', () => {
  const record = swept(asked({ onTimeout: 'escalate', escalation: [step(TIMEOUT_MS)] }), 40_000, TIMEOUT_MS)
  expect(auditApproval(record)).toEqual([])
  const changes: Partial<Approval>[] = [
    { expiresAt: record.expiresAt + 1 },
    { escalatedAt: [] },
    { escalatedAt: [...(record.escalatedAt ?? []), 1] },
    { warnedAt: 1 },
    { onTimeout: 'deny' },
    { warnAfterMs: null },
    { timeoutMs: TIMEOUT_MS * 2 },
    { escalation: [step(TIMEOUT_MS, { approvers: ['eve'] })] },
    { callback: 'https://eve.example/' },
  ]
  for (const change of changes) expect(auditApproval({ ...record, ...change }), JSON.stringify(change)).not.toEqual([])
})
