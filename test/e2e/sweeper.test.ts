import { join } from 'node:path'
import { expect } from 'vitest'
import { createApprovalStore } from '../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../lib/adapters/sqlite/group-commit.ts'
import { MAIN_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import { createApproval } from '../../lib/core/transition.ts'
import { requestedEvent } from '../support/approvals.ts'
import { scenario } from '../support/server.ts'

scenario('10,000 overdue: each expires once, in bounded batches, and a restart goes on', async (world) => {
  const { admin } = world
  await world.stop()
  const db = openDatabase(join(world.dataDir, 'countersign.db'), MAIN_SCHEMA)
  const store = createApprovalStore({ db, groupCommit: createGroupCommit(db) })
  const requestedAt = Date.now() - 60_000
  const overdue = Array.from({ length: 10_000 }, (_, index) =>
    createApproval(requestedEvent({ requestedAt: requestedAt + index, timeoutMs: 1_000 }).data, requestedAt),
  )
  await Promise.all(overdue.map((approval) => store.insert(approval)))
  await store.close()
  db.close()

  await world.restart()
  // Stopped in the middle, as like as not; the next start goes on with what is left.
  await admin.recordThat(overdue[0]!.id, ({ status }) => status === 'expired')
  await world.restart()
  await admin.recordThat(overdue.at(-1)!.id, ({ status }) => status === 'expired')
  const { body } = await admin.send<{ items: unknown[] }>('GET', '/v1/approvals/pending')
  expect(body.items).toEqual([])
  for (const { id } of [overdue[0]!, overdue[5_000]!, overdue.at(-1)!]) {
    const { history } = await admin.record(id)
    expect(history?.map(({ type }) => type)).toEqual(['requested', 'expired'])
  }
})
