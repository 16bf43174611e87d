import type { Db } from 'mongodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMongoDeliveryStore } from '../../../lib/adapters/mongo/delivery-store.ts'
import type { DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { findBackend, withBackend } from '../../support/backends/backend.ts'
import { aDelivery, CREATED_AT, dead, delivered } from '../../support/deliveries.ts'
import { mongoDatabase } from '../../support/mongo-database.ts'

interface Profile {
  planSummary?: string
  docsExamined?: number
  keysExamined?: number
  hasSortStage?: boolean
}

await withBackend(
  'plans of deliveries on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    /** What MongoDB itself writes down of what the store asks: nothing may walk or sort the deliveries. */
    describe('the plans of the delivery store on MongoDB', () => {
      const database = mongoDatabase(backend)
      let db: Db
      let store: DeliveryStore
      const request = { endpoint: 'e1', owner: 'w', now: CREATED_AT + 1_000, leaseMs: 1_000, limit: 2 }

      beforeAll(async () => {
        db = (await database.connect()).db
        store = createMongoDeliveryStore({ db, clock: realClock })
        const states = [(each: ReturnType<typeof aDelivery>) => each, delivered, dead]
        await store.insert(
          Array.from({ length: 300 }, (_, index) =>
            states[index % 3]!(aDelivery({ endpoint: `e${index % 4}`, createdAt: CREATED_AT + index })),
          ),
        )
      })
      afterAll(async () => {
        await store.close()
        await database.remove()
      })

      async function profilesOf(work: () => Promise<unknown>): Promise<Profile[]> {
        await db.command({ profile: 2 })
        await work()
        await db.command({ profile: 0 })
        const profiles = await db
          .collection<Profile>('system.profile')
          .find({ ns: `${db.databaseName}.deliveries`, planSummary: { $exists: true } })
          .toArray()
        await db.dropCollection('system.profile')
        expect(profiles.length).toBeGreaterThan(0)
        return profiles
      }

      it.each<[string, () => Promise<unknown>]>([
        ['get', () => store.get('dlv_x')],
        ['claim', () => store.claim(request)],
        ['finish', () => store.finish('w', aDelivery({ attempts: 1 }))],
        ['stop', () => store.stop({ approvalId: 'apr_x', types: ['approval.requested'], at: 1 })],
        ['stopEndpoint', () => store.stopEndpoint({ endpoint: 'e3', at: 1 })],
        ['due', () => store.due(CREATED_AT + 100)],
        ['receipt', () => store.receipt('e1', 'apr_x')],
        ['list', () => store.list({ tenant: 'default', endpoint: 'e1', limit: 5 })],
        [
          'the next page',
          () =>
            store.list({ tenant: 'default', endpoint: 'e1', limit: 5, after: { createdAt: CREATED_AT + 90, id: 'x' } }),
        ],
        ['replay', () => store.replay('dlv_x', 1)],
        ['replayDead', () => store.replayDead({ tenant: 'default', endpoint: 'e2', since: CREATED_AT + 200, at: 1 })],
        ['prune', () => store.prune(CREATED_AT + 9)],
      ])('%s walks no collection and sorts nothing', async (_, work) => {
        for (const { planSummary, hasSortStage = false } of await profilesOf(work)) {
          expect(planSummary).toMatch(/^(IXSCAN|IDHACK|DISTINCT_SCAN|COUNT_SCAN)/)
          expect(hasSortStage).toBe(false)
        }
      })

      it('asks what is due at the price of the endpoints, and lists at the price of a page', async () => {
        const due = await profilesOf(() => store.due(CREATED_AT + 1_000))
        expect(due.map(({ planSummary }) => planSummary)).toContain(
          'DISTINCT_SCAN { status: 1, endpoint: 1, dueAt: 1 }',
        )
        for (const { keysExamined = 0 } of due) expect(keysExamined).toBeLessThan(10)
        const [list] = await profilesOf(() => store.list({ tenant: 'default', endpoint: 'e1', limit: 5 }))
        expect(list?.docsExamined).toBeLessThan(10)
      })
    })
  },
)
