import { createMongoKeyStore } from '../../lib/adapters/mongo/key-store.ts'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { mongoDatabase } from '../support/mongo-database.ts'
import { type KeyStoreHarness, runKeyStoreConformance } from './key-store.suite.ts'

await withBackend(
  'key store on MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    runKeyStoreConformance('mongo', async (clock): Promise<KeyStoreHarness> => {
      const database = mongoDatabase(backend)
      const open = async () => {
        const connection = await database.connect()
        return { store: createMongoKeyStore({ db: connection.db, clock }), connection }
      }
      const first = await open()

      return {
        store: first.store,
        openAnother: async () => (await open()).store,
        async reopen() {
          await first.store.close()
          await first.connection.close()
          return (await open()).store
        },
        cleanUp: () => database.remove(),
      }
    })
  },
)
