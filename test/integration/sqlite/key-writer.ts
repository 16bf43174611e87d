import { createInterface } from 'node:readline'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createKeyStore } from '../../../lib/adapters/sqlite/key-store.ts'
import { KEYS_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { realClock } from '../../conformance/real-clock.ts'

/**
 * Opens each file that it is told, at the instant that it is told, writes a key there under its own name, and says so.
 * A line is `instant path`.
 */
const name = process.argv[2]!
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  const [instant, path] = line.split(' ') as [string, string]
  // Spinning, because timers would let the writers miss each other.
  while (Date.now() < Number(instant));
  const db = openDatabase(path, KEYS_SCHEMA)
  const key = { id: name, hash: name, name, tenant: 'default', groups: [], email: null, createdAt: 1 }
  await createKeyStore({ db, clock: realClock }).insert({ ...key, role: 'agent' })
  db.close()
  process.stdout.write(`${path}\n`)
}
