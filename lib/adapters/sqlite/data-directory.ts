import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'
import { createFile, type Database, isBusy } from './database.ts'
import { isCode, reasonOf, StorageError } from './storage-error.ts'

/** The files of one installation. */
export interface DataDirectory {
  path: string
  /** countersign.db: the log and the records. The owner of the directory writes it; others may read it. */
  database: string
  /** keys.db: any process may write it. */
  keys: string
}

/** A directory that this process owns until `close`, or until it dies. */
export interface OwnedDataDirectory extends DataDirectory {
  close(): void
}

/**
 * Creates the directory (mode 0700) where it is missing, without owning it: for commands that work beside a server.
 * Throws StorageError when it is no directory or cannot be created.
 */
export function prepareDataDirectory(path: string): DataDirectory {
  const absolute = resolve(path)
  try {
    mkdirSync(absolute, { recursive: true, mode: 0o700 })
  } catch (error) {
    const why = isCode(error, 'EEXIST') ? 'it is a file' : reasonOf(error)
    throw new StorageError(`the data directory ${absolute} cannot be created: ${why}`, { cause: error })
  }
  return { path: absolute, database: join(absolute, 'countersign.db'), keys: join(absolute, 'keys.db') }
}

/**
 * Creates the directory where it is missing and takes it for this process; the operating system gives it back when the
 * process ends, however it ends. Throws StorageError when another process has it (naming its pid) or it cannot be used.
 */
export function openDataDirectory(path: string): OwnedDataDirectory {
  const directory = prepareDataDirectory(path)
  const pidFile = join(directory.path, 'countersign.pid')
  const lock = takeLock(directory.path, pidFile)
  try {
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 })
  } catch (error) {
    lock.close()
    throw unusable(directory.path, error)
  }
  let open = true
  return {
    ...directory,
    close() {
      if (!open) return
      open = false
      rmSync(pidFile, { force: true })
      lock.close()
    },
  }
}

/** An open exclusive transaction on a database of its own: a lock that dies with the process and blocks nothing else. */
function takeLock(directory: string, pidFile: string): Database {
  let lock: Database | undefined
  try {
    const file = join(directory, 'lock.db')
    createFile(file)
    lock = new DatabaseSync(file)
    lock.exec('PRAGMA locking_mode = EXCLUSIVE')
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock?.close()
    if (!isBusy(error)) throw unusable(directory, error)
    throw new StorageError(
      `the data directory ${directory} is in use by ${ownerIn(pidFile)}: stop it, or choose another directory`,
      { cause: error },
    )
  }
}

function ownerIn(pidFile: string): string {
  try {
    return `the process with pid ${readFileSync(pidFile, 'utf8').trim()}`
  } catch {
    return 'another process'
  }
}

const unusable = (directory: string, error: unknown): StorageError =>
  new StorageError(`the data directory ${directory} cannot be written: ${reasonOf(error)}`, { cause: error })
