import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory, prepareDataDirectory } from '../../../lib/adapters/sqlite/data-directory.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { headOfLog, readLog } from '../../../lib/adapters/sqlite/read-log.ts'
import { MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'

type Child = ChildProcessByStdio<Writable, Readable, null>

describe('a process that owns a data directory', () => {
  let path: string
  let child: Child
  let lines: Interface

  beforeEach(async () => {
    path = temporaryDirectory()
    child = spawn(process.execPath, ['--import', 'tsx', new URL('publisher.ts', import.meta.url).pathname, path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    lines = createInterface({ input: child.stdout })
    const [line] = await once(lines, 'line')
    expect(line).toBe('open')
  })

  afterEach(async () => {
    await kill()
    remove(path)
  })

  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'close')
  }

  /** Lets it publish; resolves with what it has told so far once that is `count` lines, and goes on collecting. */
  const published = (count: number) => {
    const told: string[] = []
    return new Promise<string[]>((resolve) => {
      lines.on('line', (line) => {
        told.push(line)
        if (told.length === count) resolve(told)
      })
      child.stdin.write('go\n')
    })
  }

  it('keeps every other one out, and says who it is', () => {
    expect(() => openDataDirectory(path)).toThrow(`is in use by the process with pid ${child.pid}: stop it`)
  })

  it('loses nothing that it acknowledged when it is killed, and the directory is free again', async () => {
    const told = await published(500)
    await kill()
    expect(told.length).toBeGreaterThanOrEqual(500)

    const storage = openMainStorage(path)
    const entries = readLog({ db: storage.db, codec: jsonCodec }, { after: 0, limit: 1_000_000 })
    const stored = new Set(entries.map(({ eventId }) => eventId))
    expect(told.filter((id) => !stored.has(id))).toEqual([])
    expect(entries.filter(({ error }) => error !== null)).toEqual([])
    storage.close()
  })

  it('lets another process read its log while it writes', async () => {
    const db = openDatabase(prepareDataDirectory(path).database, MAIN_SCHEMA, { readOnly: true })
    const told = await published(50)
    const seen = readLog({ db, codec: jsonCodec }, { after: 0, limit: 1_000_000 }).map(({ eventId }) => eventId)
    expect(seen).toEqual(expect.arrayContaining(told.slice(0, 50)))
    expect(headOfLog(db)).toBeGreaterThanOrEqual(50)
    expect(() => db.exec('DELETE FROM log')).toThrow('readonly')
    db.close()
  })
})
