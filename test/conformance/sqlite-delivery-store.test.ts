import { createDeliveryStore } from '../../lib/adapters/sqlite/delivery-store.ts'
import type { DeliveryStore } from '../../lib/ports/delivery-store.ts'
import { type DeliveryStoreHarness, runDeliveryStoreConformance } from './delivery-store.suite.ts'
import { openMainStorage, remove, temporaryDirectory } from './sqlite-storage.ts'

runDeliveryStoreConformance('sqlite', async (): Promise<DeliveryStoreHarness> => {
  const path = temporaryDirectory()
  let storage = openMainStorage(path)
  const stores: DeliveryStore[] = []
  const open = () => {
    const store = createDeliveryStore(storage)
    stores.push(store)
    return store
  }
  const close = async () => {
    for (const store of stores.splice(0)) await store.close()
    storage.close()
  }

  return {
    store: open(),
    openAnother: async () => open(),
    async reopen() {
      await close()
      storage = openMainStorage(path)
      return open()
    },
    async cleanUp() {
      await close()
      remove(path)
    },
  }
})
