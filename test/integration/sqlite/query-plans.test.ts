import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import type { Database } from '../../../lib/adapters/sqlite/database.ts'
import { type MainStorage, openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { REQUESTED_AT } from '../../support/approvals.ts'

/** Every query that a store runs is planned here as SQLite plans it for the store: none may walk or sort the records. */
describe('the plans of the approval store', () => {
  let path: string
  let storage: MainStorage
  const queries = new Set<string>()

  beforeAll(async () => {
    path = temporaryDirectory()
    storage = openMainStorage(path)
    const db = spyOn(storage.db, queries)
    const store = createApprovalStore({ ...storage, db })
    const after = { requestedAt: REQUESTED_AT, id: 'apr_x' }
    await store.list({ tenant: 'default', limit: 10 })
    await store.list({ tenant: 'default', limit: 10, after, agent: 'a', tool: 't', risk: 'low', q: 'q' })
  })
  afterAll(() => {
    storage.close()
    remove(path)
  })

  it('use an index for every search, and sort nothing', () => {
    expect(queries.size).toBeGreaterThan(12)
    const plans = [...queries].map((sql) => ({ sql, plan: planOf(storage.db, sql) }))
    const costly = plans.filter(({ plan }) => /SCAN approvals(?! USING (COVERING )?INDEX)|TEMP B-TREE/.test(plan))
    expect(costly).toEqual([])
  })

  it('answer each question by the index made for it', () => {
    const planFor = (piece: string) => {
      const sql = [...queries].find((each) => each.includes(piece))
      return sql && planOf(storage.db, sql)
    }
    expect(planFor('instr(summary')).toContain(
      'USING INDEX approvals_list (tenant=? AND status=? AND (requested_at,id)<(?,?))',
    )
    expect(planFor('WHERE fingerprint = ?')).toContain('USING INDEX approvals_fingerprint (fingerprint=?)')
    expect(planFor('due_at <= ?')).toContain('USING INDEX approvals_due (due_at<?)')
    expect(planFor('due_at AS dueAt')).toContain('USING COVERING INDEX approvals_due')
    expect(planFor('outbox_at IS NOT NULL ORDER')).toContain('USING INDEX approvals_outbox')
    expect(planFor('GROUP BY tenant')).toContain('USING COVERING INDEX approvals_pending')
    expect(planFor('(requested_at, id) > (?, ?)')).toContain('USING INDEX approvals_age')
    expect(planFor('ended_at < ?')).toContain('USING INDEX approvals_ended (ended_at<?)')
  })
})

const planOf = (db: Database, sql: string): string =>
  db
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all()
    .map(({ detail }) => detail)
    .join('\n')

function spyOn(db: Database, queries: Set<string>): Database {
  return new Proxy(db, {
    get(target, property) {
      if (property !== 'prepare') return Reflect.get(target, property, target)
      return (sql: string) => {
        if (!sql.startsWith('INSERT')) queries.add(sql)
        return target.prepare(sql)
      }
    },
  })
}
