import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { prepareDataDirectory } from '../../../lib/adapters/sqlite/data-directory.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { type MainStorage, openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { anApproval, requestedEvent } from '../../support/approvals.ts'

describe('approval store on SQLite', () => {
  let path: string
  let storage: MainStorage
  beforeEach(() => {
    path = temporaryDirectory()
    storage = openMainStorage(path)
  })
  afterEach(() => {
    storage.close()
    remove(path)
  })

  it('can be read by another process beside its owner, and not written', async () => {
    const owner = createApprovalStore(storage)
    const [first, second] = [anApproval(), anApproval()]
    await owner.insert(first)

    const db = openDatabase(prepareDataDirectory(path).database, MAIN_SCHEMA, { readOnly: true })
    const reader = createApprovalStore({ db, groupCommit: createGroupCommit(db) })
    await owner.insert(second)
    const seen: Approval[] = []
    for await (const approval of reader.scan()) seen.push(approval)
    expect(seen).toEqual([first, second].sort((a, b) => (a.id < b.id ? -1 : 1)))
    await expect(reader.insert(anApproval())).rejects.toMatchObject({ code: 'decider_unavailable' })
    await reader.close()
    db.close()
  })

  it('refuses what the disk does not take, and holds what it had', async () => {
    const store = createApprovalStore(storage)
    const record = anApproval()
    await store.insert(record)
    storage.db.exec('PRAGMA max_page_count = 1')
    const big = anApproval({ approvers: Array.from({ length: 20_000 }, (_, index) => `approver-${index}`) })
    await expect(store.insert(big)).rejects.toMatchObject({ code: 'decider_unavailable' })
    expect(await store.get(big.id)).toBeUndefined()
    expect(await store.get(record.id)).toEqual(record)
  })

  it('shares its transactions with the bus', async () => {
    const { db, groupCommit } = storage
    const store = createApprovalStore(storage)
    const bus = createLogBus({ db, groupCommit, codec: jsonCodec, clock: realClock, source: 'test' })
    const watcher = openDatabase(prepareDataDirectory(path).database, MAIN_SCHEMA)
    const versions = new Set<unknown>()
    const version = () => versions.add(watcher.prepare('PRAGMA data_version').get()?.data_version)
    version()
    await Promise.all([
      ...Array.from({ length: 20 }, () => store.insert(anApproval()).then(version)),
      ...Array.from({ length: 20 }, () => bus.publish([requestedEvent()]).then(version)),
    ])
    expect(versions.size).toBe(2)
    watcher.close()
    await bus.close()
  })
})
