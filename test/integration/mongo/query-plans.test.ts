import type { Db } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMongoApprovalStore } from '../../../lib/adapters/mongo/approval-store.ts'
import type { ApprovalStore } from '../../../lib/ports/approval-store.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { anApproval, approved, claimed, denied, REQUESTED_AT, settled } from '../../support/approvals.ts'
import { findBackend, withBackend } from '../../support/backends/backend.ts'
import { mongoDatabase } from '../../support/mongo-database.ts'

interface Profile {
  planSummary: string
  docsExamined: number
  keysExamined: number
  nreturned: number
  hasSortStage?: boolean
}

await withBackend(
  'query plans on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    /** What MongoDB itself writes down of the queries that the store runs: none may walk or sort the records. */
    describe('the plans of the approval store on MongoDB', () => {
      const database = mongoDatabase(backend)
      let db: Db
      let store: ApprovalStore

      beforeAll(async () => {
        db = (await database.connect()).db
        store = createMongoApprovalStore({ db, clock: realClock })
        const records = Array.from({ length: 60 }, (_, age) => {
          const record = anApproval({ requestedAt: REQUESTED_AT + age, tenant: age % 3 === 0 ? 'other' : 'default' })
          return [record, approved(record), denied(record), settled(claimed(approved(record)))][age % 4]!
        })
        await Promise.all(records.map((record) => store.insert(record)))
      })
      afterAll(async () => {
        await store.close()
        await database.remove()
      })

      const profileOf = async (query: () => Promise<unknown>): Promise<Profile> => {
        await db.command({ profile: 2 })
        await query()
        await db.command({ profile: 0 })
        const profiles = await db
          .collection<Profile>('system.profile')
          .find({ ns: `${db.databaseName}.approvals` })
          .toArray()
        await db.dropCollection('system.profile')
        expect(profiles).toHaveLength(1)
        return profiles[0]!
      }

      const planOf = async (query: () => Promise<unknown>): Promise<string> => {
        const { planSummary, hasSortStage = false } = await profileOf(query)
        expect(hasSortStage).toBe(false)
        return planSummary
      }

      const LIST = 'IXSCAN { tenant: 1, status: 1, requestedAt: -1, _id: -1 }'
      const pending = { tenant: 'default', status: ['pending'], limit: 5 } as const
      const after = { requestedAt: REQUESTED_AT + 30, id: 'apr_x' }

      it.each([
        ['one status', pending],
        ['the next page', { ...pending, after }],
        ['several', { ...pending, status: ['pending', 'denied'] as const }],
        ['all, next page', { tenant: 'default', limit: 5, after }],
        [
          'all filters',
          { tenant: 'default', limit: 5, after, agent: 'billing', tool: 't', risk: 'low', q: 'q' } as const,
        ],
      ])('list by its index, in its order: %s', async (_, query) => {
        const plans = (await planOf(() => store.list(query))).split(', IXSCAN')
        expect(plans.map((plan) => plan.replace(/^ /, 'IXSCAN '))).toEqual(plans.map(() => LIST))
      })

      it('list reads no more than it returns', async () => {
        const { docsExamined, nreturned } = await profileOf(() => store.list(pending))
        expect(nreturned).toBe(5)
        expect(docsExamined).toBe(5)
      })

      it('find by the index made for each question', async () => {
        expect(await planOf(() => store.get('apr_x'))).toMatch(/IXSCAN { _id: 1 }|IDHACK/)
        expect(await planOf(() => store.findByFingerprint('x', 0))).toBe(
          'IXSCAN { action.fingerprint: 1, requestedAt: 1, _id: 1 }',
        )
        expect(await planOf(() => store.findDue(REQUESTED_AT, 10))).toBe('IXSCAN { dueAt: 1 }')
        expect(await planOf(() => store.nextDueAt())).toBe('IXSCAN { dueAt: 1 }')
        expect(await planOf(() => store.findOutbox(10))).toBe('IXSCAN { outbox.at: 1 }')
        expect(await planOf(() => store.countPending())).toBe('IXSCAN { status: 1, tenant: 1 }')
        const { docsExamined } = await profileOf(() => store.countPending())
        expect(docsExamined).toBe(0)
      })

      it('scan in the order of age, and prune by the end', async () => {
        const first = () => store.scan()[Symbol.asyncIterator]().next()
        expect(await planOf(first)).toBe('IXSCAN { requestedAt: 1, _id: 1 }')
        await db.command({ profile: 2 })
        await store.prune(REQUESTED_AT)
        await db.command({ profile: 0 })
        const plans = await db
          .collection<Profile>('system.profile')
          .distinct('planSummary', { ns: `${db.databaseName}.approvals` })
        expect(plans.filter((plan) => /COLLSCAN/.test(plan))).toEqual([])
        expect(plans).toContain('IXSCAN { endedAt: 1 }')
      })
    })
  },
)
