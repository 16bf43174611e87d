import { createMongoDeliveryStore } from '../../lib/adapters/mongo/delivery-store.ts'
import type { DeliveryStore } from '../../lib/ports/delivery-store.ts'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { mongoDatabase } from '../support/mongo-database.ts'
import { type DeliveryStoreHarness, runDeliveryStoreConformance } from './delivery-store.suite.ts'
import { realClock } from './real-clock.ts'

await withBackend(
  'delivery store on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    runDeliveryStoreConformance('mongo', async (): Promise<DeliveryStoreHarness> => {
      const database = mongoDatabase(backend)
      const stores: DeliveryStore[] = []
      const open = async () => {
        const connection = await database.connect()
        const store = createMongoDeliveryStore({ db: connection.db, clock: realClock })
        stores.push(store)
        return { store, connection }
      }
      const first = await open()

      return {
        store: first.store,
        openAnother: async () => (await open()).store,
        async reopen() {
          for (const store of stores.splice(0)) await store.close()
          await first.connection.close()
          return (await open()).store
        },
        async cleanUp() {
          for (const store of stores.splice(0)) await store.close()
          await database.remove()
        },
      }
    })
  },
)
