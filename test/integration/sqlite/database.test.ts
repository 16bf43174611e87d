import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import type { Schema } from '../../../lib/adapters/sqlite/schema.ts'
import { remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'

const ONE: Schema = { migrations: ['CREATE TABLE a (x)'] }
const TWO: Schema = { migrations: [...ONE.migrations, 'CREATE TABLE b (x); INSERT INTO b SELECT x FROM a'] }

describe('database', () => {
  let root: string
  let path: string
  beforeEach(() => {
    root = temporaryDirectory()
    path = join(root, 'test.db')
  })
  afterEach(() => remove(root))

  it('syncs every commit, also when it is opened again', () => {
    for (let round = 0; round < 3; round++) {
      const db = openDatabase(path, ONE)
      db.exec('INSERT INTO a VALUES (1)')
      expect(db.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 })
      expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
      db.close()
    }
  })

  it('takes an older schema to the newest, with its rows', () => {
    const older = openDatabase(path, ONE)
    older.exec('INSERT INTO a VALUES (7)')
    older.close()
    const db = openDatabase(path, TWO)
    expect(db.prepare('SELECT x FROM b').all()).toEqual([{ x: 7 }])
    db.close()
  })

  it('changes nothing when a migration fails', () => {
    openDatabase(path, ONE).close()
    const broken = { migrations: [...ONE.migrations, 'CREATE TABLE b (x); CREATE TABLE a (x)'] }
    expect(() => openDatabase(path, broken)).toThrow('cannot be opened: table a already exists')
    openDatabase(path, TWO).close()
  })

  it('refuses a file of a newer version, also to read', () => {
    openDatabase(path, TWO).close()
    for (const readOnly of [false, true])
      expect(() => openDatabase(path, ONE, { readOnly })).toThrow('was written by a newer version of Countersign')
  })

  it('refuses to read what an older version wrote, or what does not exist', () => {
    openDatabase(path, ONE).close()
    expect(() => openDatabase(path, TWO, { readOnly: true })).toThrow('start this version on it once')
    const missing = join(root, 'missing.db')
    expect(() => openDatabase(missing, ONE, { readOnly: true })).toThrow(`${missing} cannot be opened`)
  })

  it('refuses what is no database', () => {
    writeFileSync(path, 'this is a text, and quite a long one at that'.repeat(100))
    expect(() => openDatabase(path, ONE)).toThrow(`${path} cannot be opened: file is not a database`)
  })
})
