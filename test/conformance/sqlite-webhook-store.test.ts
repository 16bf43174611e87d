import { createWebhookStore } from '../../lib/adapters/sqlite/webhook-store.ts'
import type { WebhookStore } from '../../lib/ports/webhook-store.ts'
import { openMainStorage, remove, temporaryDirectory } from './sqlite-storage.ts'
import { runWebhookStoreConformance, type WebhookStoreHarness } from './webhook-store.suite.ts'

runWebhookStoreConformance('sqlite', async (): Promise<WebhookStoreHarness> => {
  const path = temporaryDirectory()
  let storage = openMainStorage(path)
  const stores: WebhookStore[] = []
  const open = () => {
    const store = createWebhookStore(storage)
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
