import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Approval, CLAIM_TIMEOUT_MS } from '../../../lib/core/approval.ts'
import { auditApproval } from '../../../lib/core/audit.ts'
import type { ApprovalRequested } from '../../../lib/core/events.ts'
import type { HistoryEntry } from '../../../lib/core/history.ts'
import { type Command, transition } from '../../../lib/core/transition.ts'
import { claim, decide, pending, person, REQUESTED_AT, settle, TIMEOUT_MS } from './fixture.ts'

const PEOPLE = [
  person('alice', ['finance']),
  person('bob', ['finance', 'security']),
  person('carol', ['security']),
  person('billing'),
]
const HOLDERS = ['gate:1:1', 'gate:1:2', 'gate:2:1', 'other:1:1']

const who = fc.constantFrom(...PEOPLE)
const holder = fc.constantFrom(...HOLDERS)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        who,
        fc.constantFrom('approve' as const, 'deny' as const),
        fc.option(fc.constantFrom('why', ' ')),
        fc.option(fc.constant('{"a":1}')),
      )
      .map(([by, word, reason, edits]) => decide(by, word, { reason, edits })),
  },
  { weight: 3, arbitrary: holder.map((each) => claim({ holder: each })) },
  { weight: 1, arbitrary: fc.constantFrom(claim({ agentId: 'key_other' }), claim({ fingerprint: 'e'.repeat(64) })) },
  { weight: 3, arbitrary: fc.constantFrom(settle('executed'), settle('failed'), settle('not_executed')) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.option(holder), fc.boolean(), fc.option(fc.constantFrom('https://a.example/1', 'https://a.example/2')))
      .map(([each, keep, callback]): Command => ({ type: 'join', holder: each, keep, callback })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(holder, fc.constantFrom('cancel' as const, 'keep' as const, 'stay' as const))
      .map(([each, intent]): Command => ({ type: 'leave', holder: each, intent })),
  },
  { weight: 1, arbitrary: fc.constant<Command>({ type: 'cancel', by: PEOPLE[3]!, reason: null }) },
  { weight: 2, arbitrary: fc.constant<Command>({ type: 'timeout' }) },
)
/** Time passes in small steps, and now and then in one that ends an approval or a claim. */
const pause = fc.oneof({ weight: 8, arbitrary: fc.nat(2_000) }, fc.constantFrom(TIMEOUT_MS, CLAIM_TIMEOUT_MS))
const script = fc.array(fc.record({ command, pause }), { maxLength: 25 })
const terms = fc.constantFrom<Partial<ApprovalRequested>[]>(
  {},
  { threshold: { approve: 2, deny: 1 } },
  { threshold: { approve: 2, deny: 2 }, reasonRequired: ['deny'] },
  {
    approvers: ['group:finance', 'group:security'],
    requirements: [
      { rule: 'money', anyOf: ['group:finance'], approve: 1 },
      { rule: 'safety', anyOf: ['group:security'], approve: 1 },
    ],
  },
  { keep: true, timeoutMs: 5_000 },
  {
    approvers: ['alice'],
    requirements: [
      { rule: 'money', anyOf: ['alice'], approve: 1 },
      { rule: 'safety', anyOf: ['alice'], approve: 1 },
    ],
    onTimeout: 'escalate',
    timeoutMs: 8_000,
    warnAfterMs: 3_000,
    escalation: [
      { rule: 'safety', afterMs: 2_000, approvers: ['group:security'], channels: [] },
      { rule: 'money', afterMs: 20_000, approvers: ['group:finance'], channels: ['oncall'] },
    ],
  },
)

/** Which steps a record may take, by its status alone: the whole of what can happen. */
const NEXT: Record<Approval['status'], Approval['status'][]> = {
  pending: ['pending', 'approved', 'denied', 'expired', 'cancelled'],
  approved: ['claimed', 'expired'],
  claimed: ['settled', 'approved'],
  settled: [],
  denied: [],
  expired: [],
  cancelled: [],
}
const OUTCOMES = new Set(['approved', 'denied', 'expired', 'cancelled'])
const TOLD: Partial<Record<HistoryEntry['type'], string[]>> = {
  ...Object.fromEntries([...OUTCOMES].map((type) => [type, ['approval.decided']])),
  returned: ['approval.settled'],
  settled: ['approval.settled'],
  warned: ['approval.expiring'],
  escalated: ['approval.escalated'],
}

it('keeps its promises in whatever order and at whatever time the commands come', () => {
  fc.assert(
    fc.property(terms, script, (more, steps) => {
      let record = pending(more)
      let now = REQUESTED_AT
      let uses = 0
      for (const { command: next, pause: wait } of steps) {
        now += wait
        const before = structuredClone(record)
        const result = transition(record, next, now)
        expect(record).toEqual(before)
        if (result.kind !== 'applied') {
          expect(result.approval).toBe(record)
          continue
        }
        const { approval, events } = result
        const isStep = approval.history.length > record.history.length
        expect(NEXT[before.status]).toContain(approval.status)
        expect(approval.version).toBe(before.version + 1)
        expect(approval.updatedAt).toBe(now)
        expect(approval.history.length - before.history.length).toBe(isStep ? 1 : 0)
        expect(approval.history.slice(0, before.history.length)).toEqual(before.history)
        expect(approval.outbox).toEqual([...before.outbox, ...events])
        expect(auditApproval(approval)).toEqual([])

        // One event for each outcome, warning and step of an escalation, none for a vote or a change of holders.
        const entry = approval.history.at(-1)!
        expect(events.map(({ topic }) => topic)).toEqual((isStep && TOLD[entry.type]) || [])
        for (const event of events) {
          expect(event.eventId).toBe(`${approval.id}:${approval.version}`)
          expect(event.data).toMatchObject({ version: approval.version, historyHash: entry.hash })
        }

        if (isStep && entry.type === 'claimed') uses++
        if (isStep && entry.type === 'returned') uses--
        expect(uses).toBeLessThanOrEqual(1)
        if (before.status === 'approved' && approval.status === 'claimed') expect(now).toBeLessThan(before.expiresAt)
        if (isStep && (entry.type === 'approved' || entry.type === 'denied')) {
          expect(now).toBeLessThan(before.expiresAt)
          const voters = approval.votes.map(({ by }) => by.name)
          expect(new Set(voters).size).toBe(voters.length)
          expect(voters).not.toContain('billing')
          expect(approval.decidedBy.length).toBeGreaterThanOrEqual(
            entry.type === 'approved' ? approval.threshold.approve : approval.threshold.deny,
          )
        }
        if (isStep && (entry.type === 'warned' || entry.type === 'escalated')) {
          expect([before.status, approval.status]).toEqual(['pending', 'pending'])
          expect(approval.votes).toEqual(before.votes)
          expect(approval.expiresAt).toBeGreaterThanOrEqual(before.expiresAt)
        } else expect(approval.expiresAt).toBe(before.expiresAt)
        expect(approval.escalatedAt!.length).toBeLessThanOrEqual(approval.escalation!.length)
        // What was decided stays as it was decided.
        if (before.decidedAt !== null && approval.status !== 'expired') {
          const { decidedAt, decidedBy, reason, edits, votes } = before
          expect(approval).toMatchObject({ decidedAt, decidedBy, reason, edits, votes })
        }
        record = approval
      }
      const decisions = record.history.filter(({ type }) => OUTCOMES.has(type) && type !== 'expired')
      expect(decisions.length).toBeLessThanOrEqual(1)
      expect(record.history.filter(({ type }) => type === 'settled' || type === 'expired').length).toBeLessThanOrEqual(
        1,
      )
      const ids = record.outbox.map(({ eventId }) => eventId)
      expect(new Set(ids).size).toBe(ids.length)
    }),
    { numRuns: 500 },
  )
})
