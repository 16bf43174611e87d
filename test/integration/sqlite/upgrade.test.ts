import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createDeliveryStore } from '../../../lib/adapters/sqlite/delivery-store.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { createWebhookStore } from '../../../lib/adapters/sqlite/webhook-store.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { anApproval } from '../../support/approvals.ts'
import { aDelivery, aWebhook } from '../../support/deliveries.ts'

it('a data directory from before webhooks keeps its records and takes deliveries', async () => {
  const path = temporaryDirectory()
  onTestFinished(() => remove(path))
  const approval = anApproval()
  const older = openDatabase(join(path, 'countersign.db'), { migrations: MAIN_SCHEMA.migrations.slice(0, 1) })
  await createApprovalStore({ db: older, groupCommit: createGroupCommit(older) }).insert(approval)
  older.close()

  const storage = openMainStorage(path)
  onTestFinished(() => storage.close())
  expect(await createApprovalStore(storage).get(approval.id)).toEqual(approval)
  const [delivery, webhook] = [aDelivery(), aWebhook()]
  expect(await createDeliveryStore(storage).insert([delivery])).toBe(1)
  expect(await createWebhookStore(storage).insert(webhook)).toBe(true)
})
