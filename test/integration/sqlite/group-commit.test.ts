import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Database, openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createGroupCommit, type GroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'

describe('group commit', () => {
  let root: string
  let db: Database
  let other: Database
  let groupCommit: GroupCommit
  const schema = { migrations: ['CREATE TABLE a (x UNIQUE)'] }

  beforeEach(() => {
    root = temporaryDirectory()
    db = openDatabase(join(root, 'test.db'), schema)
    other = openDatabase(join(root, 'test.db'), schema)
    groupCommit = createGroupCommit(db)
  })
  afterEach(() => {
    db.close()
    other.close()
    remove(root)
  })

  const insert = (x: number) => () => db.prepare('INSERT INTO a VALUES (?)').run(x).changes
  const stored = () =>
    other
      .prepare('SELECT x FROM a ORDER BY rowid')
      .all()
      .map(({ x }) => x)

  it('commits what one turn queues in one transaction, in order', async () => {
    const versions = new Set<unknown>()
    const version = () => versions.add(other.prepare('PRAGMA data_version').get()?.data_version)
    version()
    const results = [3, 1, 2].map((x) => groupCommit.run(insert(x)).then(version))
    expect(stored()).toEqual([])
    await Promise.all(results)
    expect(stored()).toEqual([3, 1, 2])
    expect(versions.size).toBe(2)
  })

  it('resolves with each result once it is on disk', async () => {
    const seen = await Promise.all([1, 2].map((x) => groupCommit.run(() => insert(x)() * x).then((y) => [y, stored()])))
    expect(seen).toEqual([
      [1, [1, 2]],
      [2, [1, 2]],
    ])
  })

  it('undoes an operation that throws, and it alone', async () => {
    const results = await Promise.allSettled([
      groupCommit.run(insert(1)),
      groupCommit.run(() => {
        insert(2)()
        throw new TypeError('no')
      }),
      groupCommit.run(() => {
        insert(3)()
        return insert(1)()
      }),
      groupCommit.run(insert(4)),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    expect(stored()).toEqual([1, 4])
    await groupCommit.run(insert(5))
    expect(stored()).toEqual([1, 4, 5])
  })

  it('rejects all when the transaction fails, and works again after', async () => {
    db.exec('PRAGMA busy_timeout = 0')
    other.exec('BEGIN IMMEDIATE')
    const results = await Promise.allSettled([groupCommit.run(insert(1)), groupCommit.run(insert(2))])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    other.exec('ROLLBACK')
    await groupCommit.run(insert(3))
    expect(stored()).toEqual([3])
  })

  it('rejects all when the disk is full, and works again after', async () => {
    const big = 'x'.repeat(100_000)
    const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count)
    db.exec(`PRAGMA max_page_count = ${pages + 2}`)
    const full = groupCommit.run(() => db.prepare('INSERT INTO a VALUES (?)').run(big))
    await expect(full).rejects.toThrow('full')
    db.exec('PRAGMA max_page_count = 1000000')
    await groupCommit.run(insert(1))
    expect(stored()).toEqual([1])
  })
})
