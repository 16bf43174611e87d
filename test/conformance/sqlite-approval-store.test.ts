import { createApprovalStore } from '../../lib/adapters/sqlite/approval-store.ts'
import { type ApprovalStoreHarness, runApprovalStoreConformance } from './approval-store.suite.ts'
import { openMainStorage, remove, temporaryDirectory } from './sqlite-storage.ts'

runApprovalStoreConformance('sqlite', async (): Promise<ApprovalStoreHarness> => {
  const path = temporaryDirectory()
  const open = () => {
    const storage = openMainStorage(path)
    return { ...storage, store: createApprovalStore(storage) }
  }
  let current = open()
  const close = async () => {
    await current.store.close()
    current.close()
  }

  return {
    store: current.store,
    async reopen() {
      await close()
      current = open()
      return current.store
    },
    async cleanUp() {
      await close()
      remove(path)
    },
  }
})
