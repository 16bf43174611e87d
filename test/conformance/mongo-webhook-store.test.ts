import { createMongoWebhookStore } from '../../lib/adapters/mongo/webhook-store.ts'
import type { WebhookStore } from '../../lib/ports/webhook-store.ts'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { mongoDatabase } from '../support/mongo-database.ts'
import { realClock } from './real-clock.ts'
import { runWebhookStoreConformance, type WebhookStoreHarness } from './webhook-store.suite.ts'

await withBackend(
  'webhook store on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    runWebhookStoreConformance('mongo', async (): Promise<WebhookStoreHarness> => {
      const database = mongoDatabase(backend)
      const stores: WebhookStore[] = []
      const open = async () => {
        const connection = await database.connect()
        const store = createMongoWebhookStore({ db: connection.db, clock: realClock })
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
