import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createKeyStore } from '../../../lib/adapters/sqlite/key-store.ts'
import { KEYS_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'

let root: string
let writers: ReturnType<typeof startWriter>[]

const startWriter = (name: string) => {
  const script = new URL('key-writer.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', script, name], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    says: async () => (await lines.next()).value,
    tell: (line: string) => child.stdin.write(`${line}\n`),
  }
}

beforeEach(async () => {
  root = temporaryDirectory()
  writers = ['a', 'b', 'c'].map(startWriter)
  expect(await Promise.all(writers.map(({ says }) => says()))).toEqual(['ready', 'ready', 'ready'])
})
afterEach(async () => {
  for (const { child } of writers) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.stdin.end()
    await once(child, 'close')
  }
  remove(root)
})

it('lets several processes create and write a key file at the same time', async () => {
  for (let round = 0; round < 20; round++) {
    const path = join(root, `keys-${round}.db`)
    const instant = Date.now() + 20
    for (const { tell } of writers) tell(`${instant} ${path}`)
    expect(await Promise.all(writers.map(({ says }) => says()))).toEqual([path, path, path])
    const db = openDatabase(path, KEYS_SCHEMA)
    const keys = await createKeyStore({ db, clock: realClock }).list()
    expect(keys.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    db.close()
  }
})
