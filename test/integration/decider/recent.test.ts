import { expect, onTestFinished, test } from 'vitest'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { auditApproval } from '../../../lib/core/audit.ts'
import { holderId } from '../../../lib/core/transition.ts'
import type { ApprovalStore } from '../../../lib/ports/approval-store.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { Claims } from '../../../services/decider/claims.ts'
import { Records } from '../../../services/decider/records.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { ALICE, requestedEvent } from '../../support/approvals.ts'

const BOB = { ...ALICE, id: 'key_bob', name: 'bob' }

const decision = (word: 'approve' | 'deny', by = ALICE) =>
  ({ type: 'decide', decision: word, by, reason: null, edits: null }) as const

/** Two deciders over one store, and how often the first one reads a record. */
function twoDeciders() {
  const path = temporaryDirectory()
  const storage = openMainStorage(path)
  const store = createApprovalStore(storage)
  onTestFinished(async () => {
    await store.close()
    storage.close()
    remove(path)
  })
  const reads: string[] = []
  const counted: ApprovalStore = {
    ...store,
    get: (id) => {
      reads.push(id)
      return store.get(id)
    },
  }
  const recordsOver = (each: ApprovalStore) =>
    new Records({ store: each, clock: systemClock, onWrite: () => {}, isSent: () => false })
  const records = recordsOver(counted)
  const claims = new Claims({ records, store: counted, clock: systemClock })
  return { store, records, claims, other: recordsOver(store), reads }
}

/** A request that the first decider recorded. */
async function request(records: Records) {
  const { data } = requestedEvent({ requestedAt: Date.now() })
  await records.create(data)
  const { id, tenant, agent, action } = data
  const claim = {
    tenant,
    agentId: agent.id,
    approvalId: id,
    key: null,
    fingerprint: action.fingerprint,
    denialMemoryMs: 0,
    dedupeWindowMs: null,
    holder: holderId('gate', 1, 1),
    keep: true,
    gate: 'gate',
  }
  return { id, tenant, claim }
}

const steps = (approval: Approval | undefined) => approval?.history.map(({ type }) => type)

test('what this decider wrote last is decided and claimed without being read', async () => {
  const { store, records, claims, reads } = twoDeciders()
  const { id, tenant, claim } = await request(records)
  await records.command(tenant, id, decision('approve'))
  expect(await claims.claim(claim)).toMatchObject({ outcome: 'claimed' })
  expect(reads).toEqual([])
  const record = await store.get(id)
  expect(steps(record)).toEqual(['requested', 'approved', 'claimed'])
  expect(record && auditApproval(record)).toEqual([])
})

test('what another decider decided meanwhile stands: the opposite word is refused, the same one changes nothing', async () => {
  const { store, records, other } = twoDeciders()
  const { id, tenant } = await request(records)
  await other.command(tenant, id, decision('deny', BOB))
  await expect(records.command(tenant, id, decision('approve'))).rejects.toMatchObject({ code: 'already_decided' })
  expect(await records.command(tenant, id, decision('deny'))).toMatchObject({ decidedBy: [{ name: 'bob' }] })
  expect(steps(await store.get(id))).toEqual(['requested', 'denied'])
})

test('an approval that another decider recorded is claimed, once', async () => {
  const { store, records, claims, other } = twoDeciders()
  const { id, tenant, claim } = await request(records)
  await other.command(tenant, id, decision('approve'))
  const [first, second] = await Promise.all([claims.claim(claim), claims.claim(claim)])
  expect([first.outcome, second.outcome].sort()).toEqual(['claimed', 'used'])
  expect(steps(await store.get(id))).toEqual(['requested', 'approved', 'claimed'])
})

test('a record at hand is no answer to another tenant', async () => {
  const { records } = twoDeciders()
  const { id } = await request(records)
  const refused = { code: 'approval_not_found' }
  await expect(records.command('elsewhere', id, decision('approve'))).rejects.toMatchObject(refused)
})
