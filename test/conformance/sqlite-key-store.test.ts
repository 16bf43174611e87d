import { prepareDataDirectory } from '../../lib/adapters/sqlite/data-directory.ts'
import { type Database, openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { createKeyStore } from '../../lib/adapters/sqlite/key-store.ts'
import { KEYS_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import { type KeyStoreHarness, runKeyStoreConformance } from './key-store.suite.ts'
import { remove, temporaryDirectory } from './sqlite-storage.ts'

runKeyStoreConformance('sqlite', async (clock): Promise<KeyStoreHarness> => {
  const path = temporaryDirectory()
  const { keys } = prepareDataDirectory(path)
  const databases: Database[] = []
  const open = () => {
    const db = openDatabase(keys, KEYS_SCHEMA)
    databases.push(db)
    return createKeyStore({ db, clock })
  }
  const closeAll = () => {
    for (const db of databases.splice(0)) db.close()
  }

  return {
    store: open(),
    openAnother: async () => open(),
    async reopen() {
      closeAll()
      return open()
    },
    async cleanUp() {
      closeAll()
      remove(path)
    },
  }
})
