import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../../lib/adapters/sqlite/database.ts'
import { createDeliveryStore } from '../../../lib/adapters/sqlite/delivery-store.ts'
import { type MainStorage, openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'

/** Every statement of the store is planned here as SQLite plans it for the store: none may walk or sort deliveries. */
describe('the plans of the delivery store', () => {
  let path: string
  let storage: MainStorage
  const statements = new Set<string>()

  beforeAll(() => {
    path = temporaryDirectory()
    storage = openMainStorage(path)
    createDeliveryStore({ ...storage, db: spyOn(storage.db, statements) })
  })
  afterAll(() => {
    storage.close()
    remove(path)
  })

  it('use an index for every question, and sort nothing', () => {
    expect(statements.size).toBeGreaterThan(12)
    const plans = [...statements].map((sql) => ({ sql, plan: planOf(storage.db, sql) }))
    const costly = plans.filter(({ plan }) => /SCAN deliveries(?! USING (COVERING )?INDEX)|TEMP B-TREE/.test(plan))
    expect(costly.map(({ sql, plan }) => `${sql}\n${plan}`)).toEqual([])
  })

  it('answer each question by the index made for it', () => {
    const planFor = (piece: string) => {
      const sql = [...statements].find((each) => each.includes(piece))
      return sql && planOf(storage.db, sql)
    }
    expect(planFor('due_at <= ?')).toContain('USING INDEX deliveries_due (endpoint=? AND due_at<?)')
    expect(planFor('WITH RECURSIVE')).toContain('USING COVERING INDEX deliveries_due (endpoint>?)')
    expect(planFor('WITH RECURSIVE')).toContain('USING COVERING INDEX deliveries_due (endpoint=? AND due_at>?)')
    expect(planFor("(status = 'waiting' OR owner")).toContain('deliveries_line (approval_id=? AND endpoint=?)')
    expect(planFor('receipt IS NOT NULL')).toContain('deliveries_line (approval_id=? AND endpoint=?)')
    expect(planFor('due_at = held_from')).toContain('deliveries_line (approval_id=?')
    expect(planFor('stop_at = ?')).toContain('deliveries_line (approval_id=?')
    expect(planFor('(created_at, id) < (?, ?)')).toContain(
      'deliveries_list (endpoint=? AND status=? AND (created_at,id)<(?,?))',
    )
    expect(planFor("status = 'dead'")).toContain('deliveries_list (endpoint=? AND status=? AND created_at>?)')
    expect(planFor('ended_at < ?')).toContain('INDEX deliveries_ended (ended_at<?)')
  })
})

const planOf = (db: Database, sql: string): string =>
  db
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all()
    .map(({ detail }) => detail)
    .join('\n')

function spyOn(db: Database, statements: Set<string>): Database {
  return new Proxy(db, {
    get(target, property) {
      if (property !== 'prepare') return Reflect.get(target, property, target)
      return (sql: string) => {
        if (!sql.startsWith('INSERT')) statements.add(sql)
        return target.prepare(sql)
      }
    },
  })
}
