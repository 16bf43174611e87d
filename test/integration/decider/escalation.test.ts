import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import type { Approver } from '../../../lib/core/actor.ts'
import type { ApprovalRequested } from '../../../lib/core/events.ts'
import { Claims } from '../../../services/decider/claims.ts'
import { Records } from '../../../services/decider/records.ts'
import { ALICE, REQUESTED_AT, requestedEvent } from '../../support/approvals.ts'

const MONA = { ...ALICE, id: 'key_mona', name: 'mona', groups: ['managers'] }
const step = { rule: 'big-refund', approvers: ['group:managers'], channels: [] }

/** Records on a store, with a clock that is moved by hand and no sweeper. */
async function recordsOf(terms: Partial<ApprovalRequested>) {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-escalation-'))
  const db = openDatabase(join(dir, 'countersign.db'), MAIN_SCHEMA)
  const store = createApprovalStore({ db, groupCommit: createGroupCommit(db) })
  onTestFinished(async () => {
    await store.close()
    db.close()
    rmSync(dir, { recursive: true, force: true })
  })
  let now = REQUESTED_AT
  const clock = { now: () => now, after: () => () => {} }
  const records = new Records({ store, clock, onWrite: () => {}, isSent: () => false })
  const { data } = requestedEvent({ approvers: ['alice'], timeoutMs: 60_000, ...terms })
  await records.create(data)
  return {
    id: data.id,
    fingerprint: data.action.fingerprint,
    records,
    claims: new Claims({ records, store, clock }),
    pass: (ms: number) => {
      now = REQUESTED_AT + ms
    },
    decideAs: (by: Approver, decision: 'approve' | 'deny') =>
      records.command('default', data.id, { type: 'decide', decision, by, reason: null, edits: null }),
  }
}

test('what is due holds before any sweeper was there: for who reads, and for who decides', async () => {
  const { id, records, pass, decideAs } = await recordsOf({
    escalation: [10_000, 20_000].map((afterMs) => ({ ...step, afterMs })),
  })
  pass(9_999)
  await expect(decideAs(MONA, 'approve')).rejects.toMatchObject({ code: 'not_an_approver' })
  pass(10_000)
  expect((await records.find('default', id)).escalatedAt).toEqual([REQUESTED_AT + 10_000])
  pass(30_000)
  expect(await decideAs(MONA, 'approve')).toMatchObject({
    status: 'approved',
    escalatedAt: [expect.any(Number), REQUESTED_AT + 30_000],
  })
})

test('a step is not taken for a record that has ended in the meantime', async () => {
  const { id, records, pass, decideAs } = await recordsOf({ escalation: [{ ...step, afterMs: 10_000 }] })
  await decideAs(ALICE, 'deny')
  pass(10_000)
  expect(await records.find('default', id)).toMatchObject({ status: 'denied', escalatedAt: [] })
})

test('a decision right at a timeout that begins anew is in time, and lasts as long as the new one', async () => {
  const { id, records, pass, decideAs } = await recordsOf({
    onTimeout: 'escalate',
    escalation: [{ ...step, afterMs: 60_000 }],
  })
  pass(60_000)
  expect(await decideAs(MONA, 'approve')).toMatchObject({ status: 'approved', expiresAt: REQUESTED_AT + 120_000 })
  pass(120_000)
  await expect(decideAs(MONA, 'approve')).rejects.toMatchObject({ code: 'approval_expired' })
  expect((await records.find('default', id)).status).toBe('expired')
})

test('after a pause everything that was due is on record, and a decision meets it there', async () => {
  const behind = async () => {
    const escalation = [
      { ...step, afterMs: 10_000 },
      { ...step, afterMs: 60_000, approvers: ['zoe'] },
    ]
    const started = await recordsOf({ onTimeout: 'escalate', escalation })
    started.pass(66_000)
    return started
  }
  const { id, records } = await behind()
  const at = REQUESTED_AT + 66_000
  const expiresAt = at + 60_000
  expect(await records.find('default', id)).toMatchObject({ status: 'pending', escalatedAt: [at, at], expiresAt })
  const { decideAs } = await behind()
  expect(await decideAs(MONA, 'approve')).toMatchObject({ status: 'approved', escalatedAt: [at, at], expiresAt })
})

test('the same call joins a record whose timeout begins anew this moment', async () => {
  const { id, fingerprint, claims, pass } = await recordsOf({
    onTimeout: 'escalate',
    escalation: [{ ...step, afterMs: 60_000 }],
  })
  const claim = (dedupeWindowMs: number | null) =>
    claims.claim({
      ...{ tenant: 'default', agentId: 'key_billing', approvalId: null, key: null, fingerprint, denialMemoryMs: 0 },
      ...{ dedupeWindowMs, holder: 'gate:1:9', keep: false, gate: 'gate' },
    })
  pass(60_000)
  expect(await claim(60_000)).toEqual({ outcome: 'none' })
  expect(await claim(null)).toMatchObject({
    outcome: 'pending',
    approval: { id, expiresAt: REQUESTED_AT + 120_000, holders: ['gate:1:9'] },
  })
  pass(120_000)
  expect(await claim(null)).toEqual({ outcome: 'none' })
})
