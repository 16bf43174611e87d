import { describe, expect, it } from 'vitest'
import { type Approval, CLAIM_TIMEOUT_MS, dueAt } from '../../../lib/core/approval.ts'
import { auditApproval } from '../../../lib/core/audit.ts'
import { sha256Hex } from '../../../lib/core/canonical-json.ts'
import { type Command, holderId, transition } from '../../../lib/core/transition.ts'
import {
  AGENT,
  answer,
  BY_AGENT,
  claim,
  decide,
  FINGERPRINT,
  pending,
  person,
  REQUESTED_AT,
  recordAfter,
  settle,
  TIMEOUT_MS,
} from './fixture.ts'

const alice = person('alice', ['finance'])
const bob = person('bob', ['finance'])
const carol = person('carol', ['security'])
const NOW = REQUESTED_AT + 10
const EXPIRED = REQUESTED_AT + TIMEOUT_MS

const tell = (approval: Approval, command: Command, now = NOW) => answer(transition(approval, command, now))
const leave = (holder: string, intent: 'cancel' | 'keep' | 'stay' = 'cancel'): Command => ({
  type: 'leave',
  holder,
  intent,
})
const cancel: Command = { type: 'cancel', by: BY_AGENT, reason: 'withdrawn' }
const timeout: Command = { type: 'timeout' }

describe('deciding', () => {
  it('settles with the first vote by default, and owes one event', () => {
    const result = transition(pending(), decide(alice, 'approve', { reason: 'fine' }), NOW)
    if (result.kind !== 'applied') throw new Error('not applied')
    expect(result.approval).toMatchObject({ status: 'approved', version: 2, decidedAt: NOW, reason: 'fine' })
    expect(result.approval.decidedBy.map(({ name }) => name)).toEqual(['alice'])
    expect(result.approval.outbox).toEqual(result.events)
    expect(result.events).toMatchObject([
      { topic: 'approval.decided', data: { outcome: 'approved', version: 2, fingerprint: FINGERPRINT, edited: false } },
    ])
  })

  it('answers the same decision again as standing, and the other one with a refusal', () => {
    const approved = recordAfter(pending(), decide(alice, 'approve'))
    expect(tell(approved, decide(bob, 'approve'))).toBe('unchanged')
    expect(tell(approved, decide(bob, 'deny'))).toBe('already_decided')
    const denied = recordAfter(pending(), decide(alice, 'deny'))
    expect(tell(denied, decide(alice, 'deny'))).toBe('unchanged')
    expect(tell(denied, decide(alice, 'approve'))).toBe('already_decided')
  })

  it('never re-arms what was cancelled or used', () => {
    expect(tell(recordAfter(pending(), cancel), decide(alice, 'approve'))).toBe('approval_cancelled')
    const used = recordAfter(pending(), decide(alice, 'approve'), claim(), settle('executed'))
    expect(tell(used, decide(alice, 'approve'))).toBe('already_decided')
    expect(tell(used, claim())).toBe('already_used')
  })

  it('counts one vote per person and settles at the threshold', () => {
    const record = pending({ threshold: { approve: 2, deny: 1 } })
    const once = recordAfter(record, decide(alice, 'approve'))
    expect(once.status).toBe('pending')
    expect(once.outbox).toEqual([])
    expect(tell(once, decide(alice, 'approve'))).toBe('unchanged')
    expect(tell(once, decide(alice, 'deny'))).toBe('already_voted')
    const twice = recordAfter(once, decide(bob, 'approve'))
    expect(twice.status).toBe('approved')
    expect(twice.decidedBy.map(({ name }) => name)).toEqual(['alice', 'bob'])
    expect(recordAfter(once, decide(bob, 'deny')).status).toBe('denied')
  })

  it('takes all that comes by the topic for one voter, who is nobody that a rule names', () => {
    const written = (name: string) => person(name, [], { type: 'system', via: 'topic' })
    const record = pending({ threshold: { approve: 2, deny: 1 } })
    const once = recordAfter(record, decide(written('alice'), 'approve'))
    expect(tell(once, decide(written('bot'), 'approve'))).toBe('unchanged')
    expect(tell(once, decide(written('bot'), 'deny'))).toBe('already_voted')
    expect(recordAfter(once, decide(alice, 'approve')).status).toBe('approved')
    expect(tell(recordAfter(record, decide(alice, 'approve')), decide(written('alice'), 'approve'))).toBe('applied')

    for (const approvers of [['alice'], ['group:finance']]) {
      const named = pending({ approvers, requirements: [{ rule: 'big', anyOf: approvers, approve: 1 }] })
      for (const name of [...approvers, 'finance'])
        expect(tell(named, decide(written(name), 'approve'))).toBe('not_an_approver')
    }
    const oneOfTwo = pending({
      requirements: [
        { rule: 'any', anyOf: [], approve: 1 },
        { rule: 'big', anyOf: ['alice'], approve: 1 },
      ],
    })
    const half = recordAfter(oneOfTwo, decide(written('alice'), 'approve'))
    expect(half).toMatchObject({ status: 'pending', votes: [{ meets: ['any'] }] })
    expect(recordAfter(half, decide(alice, 'approve')).status).toBe('approved')
    expect(tell(pending(), decide(written('billing'), 'approve'))).toBe('self_approval')
  })

  it('asks for as many denials as the threshold says', () => {
    const once = recordAfter(pending({ threshold: { approve: 1, deny: 2 } }), decide(alice, 'deny'))
    expect(once.status).toBe('pending')
    expect(recordAfter(once, decide(bob, 'deny')).status).toBe('denied')
  })

  it('wants the votes that every rule asks for', () => {
    const record = pending({
      approvers: ['group:finance', 'group:security'],
      requirements: [
        { rule: 'money', anyOf: ['group:finance'], approve: 1 },
        { rule: 'safety', anyOf: ['group:security'], approve: 1 },
      ],
    })
    const half = recordAfter(record, decide(alice, 'approve'))
    expect(half.status).toBe('pending')
    expect(recordAfter(half, decide(bob, 'approve')).status).toBe('pending')
    expect(recordAfter(half, decide(carol, 'approve')).status).toBe('approved')
    expect(recordAfter(record, decide(person('dora', ['finance', 'security']), 'approve')).status).toBe('approved')
  })

  it('remembers which rules a voter could speak for, whatever the groups become', () => {
    const record = pending({
      requirements: [{ rule: 'money', anyOf: ['group:finance'], approve: 2 }],
      threshold: { approve: 2, deny: 1 },
    })
    expect(recordAfter(record, decide(alice, 'approve'), decide(carol, 'approve')).status).toBe('pending')
    expect(recordAfter(record, decide(alice, 'approve'), decide(carol, 'approve'), decide(bob, 'approve')).status).toBe(
      'approved',
    )
  })

  it('takes votes from the named and their groups alone', () => {
    const record = pending({ approvers: ['bob', 'eve@example.com', 'group:security'] })
    expect(tell(record, decide(alice, 'approve'))).toBe('not_an_approver')
    expect(tell(record, decide(alice, 'deny'))).toBe('not_an_approver')
    expect(tell(record, decide(bob, 'approve'))).toBe('applied')
    expect(tell(record, decide(carol, 'approve'))).toBe('applied')
    expect(tell(record, decide(person('eve', [], { email: 'eve@example.com' }), 'approve'))).toBe('applied')
    expect(tell(record, decide(person('group:security'), 'approve'))).toBe('not_an_approver')
  })

  it.each([
    ['by key', person('x', [], { id: 'key_agent' })],
    ['by name', person('billing')],
    ['by e-mail', person('erin', [], { email: 'erin@example.com' })],
    ['by the name of the user it works for', person('erin@example.com')],
  ])('refuses the requester, known %s', (_, by) => {
    expect(tell(pending(), decide(by, 'approve'))).toBe('self_approval')
    expect(tell(pending(), decide(by, 'deny'))).toBe('self_approval')
  })

  it('asks for a reason where the rule does, and blanks are none', () => {
    const record = pending({ reasonRequired: ['deny'] })
    expect(tell(record, decide(alice, 'deny'))).toBe('reason_required')
    expect(tell(record, decide(alice, 'deny', { reason: ' \n' }))).toBe('reason_required')
    expect(tell(record, decide(alice, 'deny', { reason: 'no' }))).toBe('applied')
    expect(tell(record, decide(alice, 'approve'))).toBe('applied')
  })
})

describe('edits', () => {
  const edits = '{"amount":50}'

  it('go with an approval by one vote, and the event says so without them', () => {
    const result = transition(pending(), decide(alice, 'approve', { edits }), NOW)
    if (result.kind !== 'applied') throw new Error('not applied')
    expect(result.approval.edits).toBe(edits)
    expect(result.events).toMatchObject([{ data: { edited: true } }])
    expect(JSON.stringify(result.events)).not.toContain('50}')
  })

  it('are refused with a denial, and for arguments that were not read whole', () => {
    expect(tell(pending(), decide(alice, 'deny', { edits }))).toBe('edits_not_allowed')
    const unread = pending({ action: { ...pending().action, fingerprint: null } })
    expect(tell(unread, decide(alice, 'approve', { edits }))).toBe('edits_not_allowed')
  })

  it('are refused where several people must approve the same arguments', () => {
    const two = pending({ threshold: { approve: 2, deny: 1 } })
    expect(tell(two, decide(alice, 'approve', { edits }))).toBe('edits_not_allowed')
    expect(tell(recordAfter(two, decide(bob, 'approve')), decide(alice, 'approve', { edits }))).toBe(
      'edits_not_allowed',
    )

    const requirements = [
      { rule: 'money', anyOf: ['group:finance'], approve: 1 },
      { rule: 'safety', anyOf: ['group:security'], approve: 1 },
    ]
    const rules = pending({ requirements })
    expect(tell(rules, decide(alice, 'approve', { edits }))).toBe('edits_not_allowed')
    expect(tell(recordAfter(rules, decide(carol, 'approve')), decide(alice, 'approve', { edits }))).toBe(
      'edits_not_allowed',
    )
  })

  it('are not hindered by a denial that did not settle it', () => {
    const record = recordAfter(pending({ threshold: { approve: 1, deny: 2 } }), decide(bob, 'deny'))
    expect(tell(record, decide(alice, 'approve', { edits }))).toBe('applied')
  })
})

describe('the one use', () => {
  const approved = recordAfter(pending(), decide(alice, 'approve'))

  it('is won once', () => {
    const claimed = recordAfter(approved, claim({ holder: 'gate:1:7', key: 'apr_k' }))
    expect(claimed.claim).toMatchObject({ holder: 'gate:1:7', gate: 'gate', key: 'apr_k' })
    expect(tell(claimed, claim())).toBe('already_used')
  })

  it('waits while nobody has decided, and is refused by what ended it', () => {
    expect(tell(pending(), claim())).toBe('unchanged')
    expect(tell(recordAfter(pending(), decide(alice, 'deny')), claim())).toBe('approval_denied')
    expect(tell(recordAfter(pending(), cancel), claim())).toBe('approval_cancelled')
  })

  it.each([
    ['another agent', claim({ agentId: 'key_other' })],
    ['other arguments', claim({ fingerprint: 'e'.repeat(64) })],
    ['an action that was not read', claim({ fingerprint: null })],
  ])('is not for %s', (_, command) => {
    expect(tell(approved, command)).toBe('approval_not_found')
  })

  it('of an action that was not read whole serves its own connection alone', () => {
    const unread = recordAfter(
      pending({ action: { ...pending().action, fingerprint: null } }),
      decide(alice, 'approve'),
    )
    expect(tell(unread, claim({ fingerprint: null, holder: 'gate:1:2' }))).toBe('approval_not_found')
    expect(tell(unread, claim({ fingerprint: null, holder: 'gate:1:1' }))).toBe('applied')
    expect(tell(unread, claim())).toBe('approval_not_found')
  })

  it('comes back when nothing was executed, and only then', () => {
    const claimed = recordAfter(approved, claim())
    const returned = recordAfter(claimed, settle('not_executed'))
    expect(returned).toMatchObject({ status: 'approved', claim: null, settlement: null })
    expect(tell(returned, claim())).toBe('applied')
    for (const outcome of ['executed', 'failed'] as const) {
      const settled = recordAfter(claimed, settle(outcome))
      expect(settled).toMatchObject({ status: 'settled', settlement: { outcome, status: 200, detail: 'done' } })
      expect(tell(settled, settle(outcome))).toBe('unchanged')
      expect(tell(settled, settle('not_executed'))).toBe('already_used')
    }
  })

  it('has nothing to report before it was taken', () => {
    expect(tell(approved, settle('executed'))).toBe('invalid_request')
    expect(tell(pending(), settle('executed'))).toBe('invalid_request')
  })

  it('is closed as unknown when nobody reports in time, and never given back', () => {
    const claimed = recordAfter(approved, claim())
    const due = dueAt(claimed) ?? 0
    expect(due).toBe((claimed.claim?.at ?? 0) + CLAIM_TIMEOUT_MS)
    expect(tell(claimed, timeout, due - 1)).toBe('unchanged')
    const result = transition(claimed, timeout, due)
    expect(result).toMatchObject({
      kind: 'applied',
      approval: { status: 'settled', settlement: { outcome: 'unknown' } },
    })
    expect(tell(result.approval, settle('not_executed'))).toBe('already_used')
    expect(dueAt(result.approval)).toBeNull()
  })

  it('can be reported after the time to decide is over', () => {
    expect(tell(recordAfter(approved, claim()), settle('executed'), EXPIRED + 1)).toBe('applied')
  })
})

describe('time', () => {
  it('ends at the instant itself, before any sweeper was there', () => {
    expect(tell(pending(), decide(alice, 'approve'), EXPIRED - 1)).toBe('applied')
    for (const command of [decide(alice, 'approve'), claim(), cancel, leave('gate:1:1'), settle('executed')])
      expect(tell(pending(), command, EXPIRED)).toBe('approval_expired')
    expect(tell(recordAfter(pending(), decide(alice, 'approve')), claim(), EXPIRED)).toBe('approval_expired')
  })

  it('expires the pending and the unused, and names no decider', () => {
    for (const record of [pending(), recordAfter(pending(), decide(alice, 'approve'))]) {
      expect(tell(record, timeout, EXPIRED - 1)).toBe('unchanged')
      const result = transition(record, timeout, EXPIRED)
      expect(result).toMatchObject({ kind: 'applied', events: [{ data: { outcome: 'expired', decidedBy: [] } }] })
      expect(result.approval).toMatchObject({ status: 'expired', holders: [] })
      expect(result.approval.history.at(-1)).toMatchObject({ type: 'expired', by: { type: 'system', via: 'sweeper' } })
      expect(tell(result.approval, timeout, EXPIRED + 1)).toBe('unchanged')
    }
  })
})

describe('holders', () => {
  const join = (holder: string | null, keep = false): Command => ({ type: 'join', holder, keep })

  it('cancel with the last of them', () => {
    const two = recordAfter(pending(), join('gate:1:2'))
    const one = recordAfter(two, leave('gate:1:1'))
    expect(one.status).toBe('pending')
    const result = transition(one, leave('gate:1:2'), NOW)
    expect(result).toMatchObject({
      approval: { status: 'cancelled', reason: 'The agent disconnected.' },
      events: [{ data: { outcome: 'cancelled', decidedBy: [{ type: 'system' }] } }],
    })
  })

  it('cancel nothing when the call will come back or the gate goes', () => {
    expect(recordAfter(pending({ keep: true }), leave('gate:1:1')).status).toBe('pending')
    expect(recordAfter(pending(), leave('gate:1:1', 'keep'))).toMatchObject({ status: 'pending', keep: true })
    expect(recordAfter(pending(), leave('gate:1:1', 'stay'))).toMatchObject({
      status: 'pending',
      keep: false,
      holders: [],
    })
    expect(recordAfter(pending(), join(null, true), leave('gate:1:1')).status).toBe('pending')
  })

  it('may name a callback where there is none yet, which is on record', () => {
    const named = (callback: string): Command => ({ type: 'join', holder: null, keep: true, callback })
    const joined = recordAfter(pending(), named('https://agent.example/1'))
    expect(joined).toMatchObject({ callback: 'https://agent.example/1', keep: true, version: 2 })
    expect(joined.history.at(-1)).toMatchObject({
      type: 'joined',
      by: { id: AGENT.id, name: AGENT.name, type: 'agent' },
      callbackHash: sha256Hex('https://agent.example/1'),
    })
    expect(joined.outbox).toEqual([])
    const again = recordAfter(joined, named('https://agent.example/2'))
    expect([again.callback, again.history.length]).toEqual(['https://agent.example/1', 2])
    expect(tell(recordAfter(pending(), decide(alice, 'deny')), named('https://agent.example/1'))).toBe('unchanged')
  })

  it('who are strangers change nothing', () => {
    expect(tell(pending(), leave('gate:1:9'))).toBe('unchanged')
    expect(tell(recordAfter(pending(), decide(alice, 'approve')), leave('gate:1:1'))).toBe('unchanged')
    expect(tell(recordAfter(pending(), decide(alice, 'deny')), join('gate:1:2'))).toBe('unchanged')
  })

  it('of a former life of their gate are forgotten, and those of other gates are not', () => {
    const first = pending({ holder: holderId('host:4100', 1, 1) })
    const others = recordAfter(first, join(holderId('host:4101', 1, 1)), join(holderId('host:4100', 1, 2)))
    const again = recordAfter(others, join(holderId('host:4100', 2, 1)))
    expect(again.holders).toEqual(['host:4101:1:1', 'host:4100:2:1'])
  })

  it('are counted once', () => {
    expect(recordAfter(pending(), join('gate:1:1')).holders).toEqual(['gate:1:1'])
  })
})

describe('withdrawing', () => {
  it('ends what is pending, and comes too late for anything else', () => {
    const cancelled = recordAfter(pending(), cancel)
    expect(cancelled).toMatchObject({ status: 'cancelled', reason: 'withdrawn' })
    expect(tell(cancelled, cancel)).toBe('unchanged')
    expect(tell(recordAfter(pending(), decide(alice, 'approve')), cancel)).toBe('already_decided')
  })
})

it('leaves the record that it was given as it was', () => {
  const record = pending()
  const before = structuredClone(record)
  transition(record, decide(alice, 'approve'), NOW)
  transition(record, leave('gate:1:1'), NOW)
  expect(record).toEqual(before)
  expect(auditApproval(record)).toEqual([])
})
