import { join } from 'node:path'
import { createApprovalStore } from '../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../lib/adapters/sqlite/group-commit.ts'
import { MAIN_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import type { Approval } from '../../lib/core/approval.ts'

/** The whole records of a data directory, whose server has stopped. */
export async function recordsIn(dataDir: string): Promise<Approval[]> {
  const db = openDatabase(join(dataDir, 'countersign.db'), MAIN_SCHEMA)
  const store = createApprovalStore({ db, groupCommit: createGroupCommit(db) })
  const records: Approval[] = []
  for await (const record of store.scan()) records.push(record)
  await store.close()
  db.close()
  return records
}
