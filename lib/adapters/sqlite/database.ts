import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite'
import type { Schema } from './schema.ts'
import { isCode, reasonOf, StorageError } from './storage-error.ts'

export type Database = DatabaseSyncInstance

const BUSY_TIMEOUT_MS = 5_000
const SYNCHRONOUS_FULL = 2
const SQLITE_BUSY = 5

/**
 * Opens a database file, creates it (mode 0600) and brings its schema up to date. What is committed survives a power
 * cut. `readOnly` opens a file that exists and changes nothing.
 * Throws StorageError when the file cannot be opened or was written by a newer version.
 */
export function openDatabase(path: string, schema: Schema, { readOnly = false } = {}): Database {
  let db: Database | undefined
  try {
    if (!readOnly) createFile(path)
    db = new DatabaseSync(path, { readOnly, timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
    if (readOnly) checkVersion(db, path, schema)
    else prepareForWriting(db, path, schema)
    return db
  } catch (error) {
    db?.close()
    if (error instanceof StorageError) throw error
    throw new StorageError(`${path} cannot be opened: ${reasonOf(error)}`, { cause: error })
  }
}

/** SQLite gives its journals the mode of the database file, so the file must have the right one before its first use. */
export function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    // A file that exists must not be opened here: closing it would drop the locks that this process holds on it.
    if (!isCode(error, 'EEXIST')) throw error
  }
}

function prepareForWriting(db: Database, path: string, schema: Schema): void {
  useWal(db)
  // SQLite forgets this setting: a WAL database opened again runs at NORMAL, which loses commits in a power cut.
  db.exec('PRAGMA synchronous = FULL')
  db.exec('PRAGMA cache_size = -32768')
  db.exec('PRAGMA journal_size_limit = 67108864')
  // A page that is written several times in a while is copied to the database once: 32 MiB between two copies.
  db.exec('PRAGMA wal_autocheckpoint = 8192')
  if (pragma(db, 'journal_mode') !== 'wal' || pragma(db, 'synchronous') !== SYNCHRONOUS_FULL)
    throw new StorageError(`${path} cannot be written durably: its file system does not support WAL`)
  migrate(db, path, schema)
}

/** The busy timeout does not cover this switch, and two processes may meet at a new file. */
function useWal(db: Database): void {
  const deadline = performance.now() + BUSY_TIMEOUT_MS
  while (pragma(db, 'journal_mode') !== 'wal') {
    try {
      db.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

function migrate(db: Database, path: string, { migrations }: Schema): void {
  if (versionOf(db) === migrations.length) return
  db.exec('BEGIN IMMEDIATE')
  try {
    // Read again under the lock: another process may have done it meanwhile.
    const version = versionOf(db)
    refuseNewer(version, path, migrations.length)
    for (const migration of migrations.slice(version)) db.exec(migration)
    db.exec(`PRAGMA user_version = ${migrations.length}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function checkVersion(db: Database, path: string, { migrations }: Schema): void {
  const version = versionOf(db)
  refuseNewer(version, path, migrations.length)
  if (version < migrations.length)
    throw new StorageError(`${path} was written by an older version of Countersign: start this version on it once`)
}

function refuseNewer(version: number, path: string, known: number): void {
  if (version > known)
    throw new StorageError(
      `${path} was written by a newer version of Countersign (schema ${version}; this version knows ${known}): ` +
        'start that version, or restore a backup from before it',
    )
}

const versionOf = (db: Database): number => Number(pragma(db, 'user_version'))

const pragma = (db: Database, name: string): unknown => db.prepare(`PRAGMA ${name}`).get()?.[name]

/** True when another connection holds the lock that was wanted. */
export const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
