import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Approval } from '../../../lib/core/approval.ts'
import { auditApproval, requestHash } from '../../../lib/core/audit.ts'
import { appendHistory, brokenLink } from '../../../lib/core/history.ts'
import { transition } from '../../../lib/core/transition.ts'
import { claim, decide, pending, person, REQUESTED_AT, recordAfter, settle, TIMEOUT_MS } from './fixture.ts'

const alice = person('alice', ['finance'])
const bob = person('bob', ['finance'])
const two = { threshold: { approve: 2, deny: 1 }, approvers: ['group:finance'] }
const approved = recordAfter(pending(), decide(alice, 'approve', { reason: 'ok', edits: '{"amount":1}' }))

const RECORDS: Record<string, Approval> = {
  pending: pending(),
  'voted on': recordAfter(pending(two), decide(alice, 'approve', { reason: 'first' })),
  'approved by two': recordAfter(pending(two), decide(alice, 'approve'), decide(bob, 'approve', { reason: 'second' })),
  'approved with edits': approved,
  denied: recordAfter(pending(), decide(alice, 'deny', { reason: 'no' })),
  cancelled: recordAfter(pending(), { type: 'cancel', by: alice, reason: 'left' }),
  expired: transition(approved, { type: 'timeout' }, REQUESTED_AT + TIMEOUT_MS).approval,
  claimed: recordAfter(approved, claim({ key: 'apr_k' })),
  returned: recordAfter(approved, claim(), settle('not_executed')),
  settled: recordAfter(approved, claim(), settle('not_executed'), claim(), settle('executed')),
  'joined by a call that names a callback': recordAfter(
    pending({ keep: true }),
    { type: 'join', holder: 'gate:1:2', keep: false, callback: 'https://agent.example/done?run=7' },
    decide(alice, 'approve'),
  ),
  'older than callbacks, and joined by a call that names one': recordAfter(olderThanCallbacks(), {
    ...{ type: 'join', holder: null, keep: true, callback: 'https://agent.example/done' },
  }),
  escalated: [20_000, 30_000, TIMEOUT_MS].reduce(
    (record, ms) => transition(record, { type: 'timeout' }, REQUESTED_AT + ms).approval,
    pending({
      ...two,
      onTimeout: 'escalate',
      warnAfterMs: 30_000,
      callback: 'https://agent.example/done',
      escalation: [20_000, TIMEOUT_MS].map((afterMs) => ({
        ...{ rule: 'big', afterMs, approvers: ['group:managers'], channels: ['oncall'] },
      })),
    }),
  ),
}

/** As it was written before there were callbacks. */
function olderThanCallbacks(): Approval {
  const { callback: _, timeoutMs: __, escalation: ___, onTimeout: ____, warnAfterMs: _____, ...older } = pending()
  const { by, at } = older.history[0]!
  return { ...older, history: appendHistory([], { type: 'requested', requestHash: requestHash(older) }, by, at) }
}

const UNAUDITED = new Set(['version', 'updatedAt', 'holders', 'keep', 'outbox'])

/** Every place in a record that holds a plain value, and every empty list. */
function leaves(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path]
  const entries = Array.isArray(value) ? value.map((item, index) => [index, item] as const) : Object.entries(value)
  if (entries.length === 0) return [path]
  return entries.flatMap(([key, item]) =>
    path.length === 0 && UNAUDITED.has(String(key)) ? [] : leaves(item, [...path, key]),
  )
}

function changed(record: Approval, path: readonly (string | number)[], change: (value: unknown) => unknown): Approval {
  const copy = structuredClone(record)
  let parent = copy as unknown as Record<string | number, unknown>
  for (const step of path.slice(0, -1)) parent = parent[step] as Record<string | number, unknown>
  const last = path.at(-1)!
  parent[last] = change(parent[last])
  return copy
}

describe.each(Object.entries(RECORDS))('a record that is %s', (_, record) => {
  it('is sound as it was written', () => {
    expect(auditApproval(record)).toEqual([])
    expect(auditApproval(JSON.parse(JSON.stringify(record)) as Approval)).toEqual([])
  })

  it('shows any change of any one value', () => {
    const changes: ((value: unknown) => unknown)[] = [
      (value) => (typeof value === 'number' ? value + 1 : typeof value === 'string' ? `${value}x` : 'x'),
      (value) => (value === null ? 0 : null),
      () => ({ other: true }),
    ]
    for (const path of leaves(record))
      for (const change of changes) expect(auditApproval(changed(record, path, change)), path.join('.')).not.toEqual([])
  })

  it('shows an entry that was taken out, doubled or moved', () => {
    for (let index = 0; index < record.history.length; index++) {
      const without = { ...record, history: record.history.toSpliced(index, 1) }
      expect(auditApproval(without), `without ${index}`).not.toEqual([])
      const doubled = { ...record, history: record.history.toSpliced(index, 0, record.history[index]!) }
      expect(auditApproval(doubled), `doubled ${index}`).not.toEqual([])
    }
    if (record.history.length > 1)
      expect(auditApproval({ ...record, history: record.history.toReversed() })).not.toEqual([])
  })
})

it('shows random damage', () => {
  const records = Object.values(RECORDS)
  fc.assert(
    fc.property(fc.constantFrom(...records), fc.nat(), fc.jsonValue(), (record, pick, value) => {
      const all = leaves(record)
      const path = all[pick % all.length]!
      const damaged = changed(record, path, () => value)
      // Writing null for what is missing, or -0 for 0, changes nothing that JSON can say.
      fc.pre(JSON.stringify(damaged) !== JSON.stringify(record))
      expect(auditApproval(damaged)).not.toEqual([])
    }),
    { numRuns: 500 },
  )
})

it('answers for records that are no records', () => {
  for (const damage of [{ history: null }, { history: [null] }, { history: [] }, { votes: 7 }, { edits: 7 }])
    expect(auditApproval({ ...approved, ...damage } as unknown as Approval)).not.toEqual([])
})

describe('the chain', () => {
  it('names the first entry that does not fit', () => {
    const by = person('alice')
    let history = appendHistory([], { type: 'requested', requestHash: 'h' }, by, 1)
    history = appendHistory(history, { type: 'claimed', holder: 'g', gate: 'g', key: null, use: 1 }, by, 2)
    history = appendHistory(history, { type: 'expired' }, by, 3)
    expect(brokenLink(history)).toBeUndefined()
    expect(brokenLink(history.map((entry) => (entry.seq === 2 ? { ...entry, at: 9 } : entry)))).toBe(2)
    expect(brokenLink(history.slice(1))).toBe(1)
    expect(history[0]).not.toHaveProperty('by.groups')
  })
})
