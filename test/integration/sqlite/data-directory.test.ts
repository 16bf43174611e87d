import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory, prepareDataDirectory } from '../../../lib/adapters/sqlite/data-directory.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { KEYS_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { StorageError } from '../../../lib/adapters/sqlite/storage-error.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

describe('data directory', () => {
  let root: string
  beforeEach(() => {
    root = temporaryDirectory()
  })
  afterEach(() => remove(root))

  it('is created with its parents, for its owner alone, and so are its files', () => {
    const path = join(root, 'a', 'b')
    const storage = openMainStorage(path)
    openDatabase(join(path, 'keys.db'), KEYS_SCHEMA).close()
    expect(modeOf(path)).toBe('700')
    const files = readdirSync(path)
    expect(files).toEqual(expect.arrayContaining(['countersign.db', 'countersign.db-wal', 'keys.db', 'lock.db']))
    for (const file of files) expect([file, modeOf(join(path, file))]).toEqual([file, '600'])
    storage.close()
  })

  it('is taken once, and free again after close', () => {
    const first = openDataDirectory(root)
    expect(() => openDataDirectory(root)).toThrow(`is in use by the process with pid ${process.pid}`)
    first.close()
    first.close()
    expect(readdirSync(root)).not.toContain('countersign.pid')
    openDataDirectory(root).close()
  })

  it('stays taken for other processes, whatever its owner tries', async () => {
    const directory = openDataDirectory(root)
    expect(() => openDataDirectory(root)).toThrow(StorageError)
    const script = new URL('publisher.ts', import.meta.url).pathname
    const other = spawn(process.execPath, ['--import', 'tsx', script, root], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [said, complaint] = await Promise.all([text(other.stdout), text(other.stderr), once(other, 'close')])
    expect(said).toBe('')
    expect(complaint).toContain(`is in use by the process with pid ${process.pid}`)
    directory.close()
  })

  it('names its owner in a file', () => {
    const directory = openDataDirectory(root)
    expect(readFileSync(join(root, 'countersign.pid'), 'utf8')).toBe(`${process.pid}\n`)
    directory.close()
  })

  it('can be prepared beside its owner', () => {
    const owner = openDataDirectory(root)
    const { keys } = prepareDataDirectory(root)
    openDatabase(keys, KEYS_SCHEMA).close()
    owner.close()
  })

  it('is refused when it is a file, or lies below one', () => {
    const file = join(root, 'file')
    writeFileSync(file, '')
    expect(() => openDataDirectory(file)).toThrow(`the data directory ${file} cannot be created: it is a file`)
    expect(() => openDataDirectory(join(file, 'x'))).toThrow(StorageError)
  })

  it('is refused when it cannot be written', () => {
    const path = join(root, 'readonly')
    mkdirSync(path)
    chmodSync(path, 0o500)
    // Permissions do not bind root; a directory where the lock's file should be does.
    if (process.getuid?.() === 0) mkdirSync(join(path, 'lock.db'))
    expect(() => openDataDirectory(path)).toThrow(`the data directory ${path} cannot be written`)
    chmodSync(path, 0o700)
  })
})
