import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDataDirectory } from '../../lib/adapters/sqlite/data-directory.ts'
import { type Database, openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { createGroupCommit, type GroupCommit } from '../../lib/adapters/sqlite/group-commit.ts'
import { MAIN_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'

/** A data directory of its own under the temporary directory. */
export const temporaryDirectory = (): string => mkdtempSync(join(tmpdir(), 'countersign-'))

export interface MainStorage {
  db: Database
  groupCommit: GroupCommit
  close(): void
}

/** The main database of a data directory, as the process that owns it has it. */
export function openMainStorage(path: string): MainStorage {
  const directory = openDataDirectory(path)
  const db = openDatabase(directory.database, MAIN_SCHEMA)
  return {
    db,
    groupCommit: createGroupCommit(db),
    close: () => {
      db.close()
      directory.close()
    },
  }
}

export const remove = (path: string): void => rmSync(path, { recursive: true, force: true })
