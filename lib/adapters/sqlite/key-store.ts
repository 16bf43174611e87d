import { CountersignError } from '../../core/errors.ts'
import { RecentMap } from '../../core/recent-map.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Key, KeyStore, Pass } from '../../ports/key-store.ts'
import type { Database } from './database.ts'

const KEY = 'id, hash, name, role, tenant, groups, email, created_at AS createdAt'
const PASS = 'hash, kind, key_id AS keyId, expires_at AS expiresAt'
const SQLITE_CONSTRAINT = 19
const REMEMBERED_KEYS = 10_000

/** Keys in a database of KEYS_SCHEMA. `close` leaves the database open: it belongs to whoever opened it. */
export function createKeyStore({ db, clock }: { db: Database; clock: Clock }): KeyStore {
  const insertKey = db.prepare(
    'INSERT INTO keys (id, hash, name, role, tenant, groups, email, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  )
  const keyByHash = db.prepare(`SELECT ${KEY} FROM keys WHERE hash = ?`)
  const keyById = db.prepare(`SELECT ${KEY} FROM keys WHERE id = ?`)
  const allKeys = db.prepare(`SELECT ${KEY} FROM keys ORDER BY created_at, id`)
  const deleteKey = db.prepare('DELETE FROM keys WHERE id = ?')
  const deletePasses = db.prepare('DELETE FROM passes WHERE key_id = ?')
  const putPass = db.prepare(
    `INSERT INTO passes (hash, kind, key_id, expires_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (hash, kind) DO UPDATE SET key_id = excluded.key_id, expires_at = excluded.expires_at`,
  )
  const findPass = db.prepare(`SELECT ${PASS} FROM passes WHERE hash = ? AND kind = ?`)
  const takePass = db.prepare(`DELETE FROM passes WHERE hash = ? AND kind = ? RETURNING ${PASS}`)
  const dropExpired = db.prepare('DELETE FROM passes WHERE expires_at <= ?')

  const dataVersion = db.prepare('PRAGMA data_version')

  const isAlive = (pass: Pass): boolean => pass.expiresAt > clock.now()

  // Every request asks for its key. What is known stands until somebody writes, this connection or another one
  // (`data_version`); the requests of one turn of the event loop share the look at that.
  let known = new RecentMap<string, Key>(REMEMBERED_KEYS)
  let knownVersion: unknown
  let isLookDue = true
  function forget(): void {
    known = new RecentMap(REMEMBERED_KEYS)
  }
  function knownKey(hash: string): Key | undefined {
    if (isLookDue) {
      const { data_version: version } = dataVersion.get()
      if (version !== knownVersion) forget()
      knownVersion = version
      isLookDue = false
      setImmediate(() => {
        isLookDue = true
      })
    }
    return known.get(hash)
  }

  return {
    insert: guarded(({ id, hash, name, role, tenant, groups, email, createdAt }: Key) => {
      insertKey.run(id, hash, name, role, tenant, JSON.stringify(groups), email, createdAt)
    }),
    findByHash: guarded((hash: string) => {
      const remembered = knownKey(hash)
      if (remembered) return remembered
      const key = keyOf(keyByHash.get(hash))
      if (key) known.set(hash, key)
      return key
    }),
    findById: guarded((id: string) => keyOf(keyById.get(id))),
    list: guarded(() => allKeys.all().map(keyFrom)),
    revoke: guarded((id: string) => {
      const isThere = deleteKey.run(id).changes > 0
      forget()
      deletePasses.run(id)
      return isThere
    }),
    putPass: guarded(({ hash, kind, keyId, expiresAt }: Pass) => {
      dropExpired.run(clock.now())
      putPass.run(hash, kind, keyId, expiresAt)
    }),
    findPass: guarded((hash: string, kind: Pass['kind']) => {
      const pass: Pass | undefined = findPass.get(hash, kind)
      if (pass && !isAlive(pass)) dropExpired.run(clock.now())
      return pass && isAlive(pass) ? { ...pass } : undefined
    }),
    takePass: guarded((hash: string, kind: Pass['kind']) => {
      const pass: Pass | undefined = takePass.get(hash, kind)
      return pass && isAlive(pass) ? { ...pass } : undefined
    }),
    close: async () => {},
  }
}

type KeyRow = Omit<Key, 'groups'> & { groups: string }

const keyFrom = (row: KeyRow): Key => ({ ...row, groups: JSON.parse(row.groups) })
const keyOf = (row: KeyRow | undefined): Key | undefined => row && keyFrom(row)

const guarded =
  <A extends unknown[], R>(call: (...args: A) => R) =>
  async (...args: A): Promise<R> => {
    try {
      return call(...args)
    } catch (error) {
      if (error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_CONSTRAINT)
        throw new CountersignError('invalid_request', 'That key exists already.', {
          cause: error,
        })
      throw new CountersignError('decider_unavailable', 'The key store cannot be used.', { cause: error })
    }
  }
