import { createMongoApprovalStore } from '../../lib/adapters/mongo/approval-store.ts'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { mongoDatabase } from '../support/mongo-database.ts'
import { type ApprovalStoreHarness, runApprovalStoreConformance } from './approval-store.suite.ts'
import { realClock } from './real-clock.ts'

await withBackend(
  'approval store on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    runApprovalStoreConformance('mongo', async (): Promise<ApprovalStoreHarness> => {
      const database = mongoDatabase(backend)
      const open = async () => {
        const connection = await database.connect()
        const store = createMongoApprovalStore({ db: connection.db, clock: realClock })
        const close = async () => {
          await store.close()
          await connection.close()
        }
        return { store, close }
      }
      let current = await open()

      return {
        store: current.store,
        async reopen() {
          await current.close()
          current = await open()
          return current.store
        },
        async cleanUp() {
          await current.close()
          await database.remove()
        },
      }
    })
  },
)
