import { type CommandStartedEvent, type Db, MongoClient } from 'mongodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMongoApprovalStore } from '../../../lib/adapters/mongo/approval-store.ts'
import { createMongoKeyStore } from '../../../lib/adapters/mongo/key-store.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { anApproval, approved, denied, REQUESTED_AT } from '../../support/approvals.ts'
import { findBackend, withBackend } from '../../support/backends/backend.ts'
import { type MongoDatabase, mongoDatabase } from '../../support/mongo-database.ts'

/** Larger than the 16 MiB that a document may have. */
const oversized = (approval: Approval): Approval => ({ ...approval, reason: 'x'.repeat(17 * 2 ** 20) })

await withBackend(
  'approval store on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    describe('approval store on MongoDB', () => {
      let database: MongoDatabase
      beforeEach(() => {
        database = mongoDatabase(backend)
      })
      afterEach(() => database.remove())

      const openStore = async () => createMongoApprovalStore({ db: (await database.connect()).db, clock: realClock })

      /** A store whose commands can be looked at. */
      async function openObserved() {
        await database.connect()
        const client = new MongoClient(database.url, { monitorCommands: true })
        const commands: CommandStartedEvent[] = []
        client.on('commandStarted', (event) => commands.push(event))
        const db: Db = client.db()
        const told = (name: string) => commands.filter(({ commandName }) => commandName === name)
        return { store: createMongoApprovalStore({ db, clock: realClock }), db, told, close: () => client.close() }
      }

      it('lets one of fifty win, from two processes at once', async () => {
        const stores = [await openStore(), await openStore()]
        for (let round = 0; round < 5; round++) {
          const record = anApproval()
          expect((await Promise.all(stores.map((store) => store.insert(record)))).filter(Boolean)).toHaveLength(1)
          const candidates = Array.from({ length: 50 }, (_, index) =>
            index % 4 < 2 ? approved(record, REQUESTED_AT + index) : denied(record, REQUESTED_AT + index),
          )
          const won = await Promise.all(candidates.map((next, index) => stores[index % 2]!.replace(1, next)))
          expect(won.filter(Boolean)).toHaveLength(1)
          for (const store of stores) expect(await store.get(record.id)).toEqual(candidates[won.indexOf(true)])
        }
        await Promise.all(stores.map((store) => store.close()))
      })

      it('sends what one turn asks as one durable command of each kind, and clears outboxes together', async () => {
        const { store, told, close } = await openObserved()
        const records = Array.from({ length: 40 }, () => anApproval())
        await Promise.all(records.map((record) => store.insert(record)))
        const next = records.map((record) => approved(record))
        await Promise.all(next.map((record) => store.replace(1, record)))
        await Promise.all(records.map(({ id }) => store.get(id)))
        expect(told('insert')).toHaveLength(1)
        expect(told('update')).toHaveLength(1)
        expect(told('find')).toHaveLength(1)
        for (const { command } of [...told('insert'), ...told('update')])
          expect(command.writeConcern).toMatchObject({ w: 'majority', j: true })

        for (const { id, outbox } of next) {
          const [event] = outbox
          void store.clearOutbox(id, [event!.eventId])
        }
        await store.close()
        expect(told('update')).toHaveLength(2)
        await close()
        const reader = await openStore()
        expect(await reader.findOutbox(100)).toEqual([])
        await reader.close()
      })

      it('tells each of a batch what came of its own', async () => {
        const store = await openStore()
        const [taken, outdated, unknown, fine] = [anApproval(), anApproval(), anApproval(), anApproval()]
        await Promise.all([taken, outdated, fine].map((record) => store.insert(record)))
        expect(await Promise.all([taken, anApproval(), taken].map((record) => store.insert(record)))).toEqual([
          false,
          true,
          false,
        ])
        const swaps = [
          store.replace(3, approved(outdated)),
          store.replace(1, approved(unknown)),
          store.replace(1, approved(fine)),
          store.replace(1, denied(fine)),
        ]
        expect(await Promise.all(swaps)).toEqual([false, false, true, false])
        expect(await store.get(unknown.id)).toBeUndefined()
        await store.close()
      })

      it('refuses a record that no document holds, for good, and takes the others of its batch', async () => {
        const store = await openStore()
        const [good, bad] = [anApproval(), anApproval()]
        const [inserted, refused] = await Promise.allSettled([store.insert(good), store.insert(oversized(bad))])
        expect(inserted).toMatchObject({ status: 'fulfilled', value: true })
        expect(refused).toMatchObject({ status: 'rejected' })
        expect(refused).not.toMatchObject({ reason: { code: 'decider_unavailable' } })

        await store.insert(bad)
        const [swapped, kept] = await Promise.allSettled([
          store.replace(1, approved(good)),
          store.replace(1, oversized(approved(bad))),
        ])
        expect(swapped).toMatchObject({ status: 'fulfilled', value: true })
        expect(kept).toMatchObject({ status: 'rejected' })
        expect(await store.get(bad.id)).toEqual(bad)
        await store.close()
      })

      it('tells apart a record that the server refuses, and takes the others of its batch', async () => {
        const { store, db, close } = await openObserved()
        await db.command({ collMod: 'approvals', validator: { reason: { $ne: 'refused' } } })
        const [good, bad] = [anApproval(), anApproval()]
        await Promise.all([good, bad].map((record) => store.insert(record)))
        const [swapped, kept, inserted] = await Promise.allSettled([
          store.replace(1, approved(good)),
          store.replace(1, { ...approved(bad), reason: 'refused' }),
          store.insert({ ...anApproval(), reason: 'refused' }),
        ])
        expect(swapped).toMatchObject({ value: true })
        for (const refusal of [kept, inserted]) expect(refusal).toMatchObject({ reason: { code: 121 } })
        await store.close()
        await close()
      })

      it('keeps text as it is: dollars, dots and zero bytes are no operators', async () => {
        const store = await openStore()
        const text = '$version \u0000 $$ROOT {"$set": {"a.b": 1}} 🜁'
        const { action } = anApproval()
        const record = anApproval({
          action: { ...action, preview: text, summary: text },
          agent: { id: '$agent', name: '$$NOW', session: text, user: '' },
        })
        await store.insert(record)
        const next = { ...approved(record), reason: text, edits: text }
        expect(await store.replace(1, next)).toBe(true)
        expect(await store.get(record.id)).toEqual(next)
        expect(await store.list({ tenant: 'default', limit: 2, q: '$$root', agent: '$$NOW' })).toEqual([next])
        await store.close()
      })

      it('shares its database with the key store', async () => {
        const store = await openStore()
        const keys = createMongoKeyStore({ db: (await database.connect()).db, clock: realClock })
        await store.insert(anApproval())
        expect(await keys.list()).toEqual([])
        await store.close()
      })
    })
  },
)
