import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createDeciderHttp } from '../../../lib/adapters/http/decider-http.ts'
import { createIdentityClient } from '../../../lib/adapters/http/identity-client.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createKeyStore } from '../../../lib/adapters/sqlite/key-store.ts'
import { KEYS_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import type { Key } from '../../../lib/ports/key-store.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { Directory } from '../../../lib/runtime/directory.ts'
import { createHttpApp } from '../../../lib/runtime/http-app.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { internalRoutes } from '../../../services/decider/routes/internal.ts'

const listed = { tenant: 'default', groups: [], role: 'approver' as const, tokenSha256: undefined, email: undefined }
const SERVICE_KEY = 's'.repeat(32)

/** A directory with a few people of the configuration and a key store of its own. */
function start() {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-directory-'))
  const db = openDatabase(join(dir, 'keys.db'), KEYS_SCHEMA)
  const keys = createKeyStore({ db, clock: systemClock })
  onTestFinished(async () => {
    await keys.close()
    db.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const approvers = [
    { ...listed, name: 'alice', email: 'Alice@example.com', groups: ['finance'] },
    { ...listed, name: 'watcher', role: 'observer' as const, email: 'watcher@example.com' },
    { ...listed, name: 'elsewhere', tenant: 'other', email: 'elsewhere@example.com' },
    { ...listed, name: 'twin-1', email: 'twins@example.com' },
    { ...listed, name: 'twin-2', email: 'twins@example.com' },
  ]
  const directory = new Directory({ agents: [], approvers }, keys, systemClock, SERVICE_KEY)
  let made = 0
  const add = async (name: string, more: Partial<Key> = {}): Promise<Key> => {
    const at = ++made
    const key: Key = {
      ...{ id: `key_${at}`, hash: String(at).padStart(64, '0'), name, role: 'approver', tenant: 'default' },
      ...{ groups: [], email: null, createdAt: at, ...more },
    }
    await keys.insert(key)
    return key
  }
  return { directory, keys, add }
}

const named = (identity: Identity, name: string, tenant = 'default') => identity.ofPerson({ tenant, name })
const addressed = (identity: Identity, email: string, tenant = 'default') => identity.ofPerson({ tenant, email })

test('a person of the configuration is found by name and by e-mail, without a token of their own', async () => {
  const { directory } = start()
  const alice = { id: 'approver:default:alice', name: 'alice', role: 'approver', groups: ['finance'] }
  expect(await named(directory, 'alice')).toMatchObject(alice)
  expect(await addressed(directory, 'aLICE@example.com')).toMatchObject(alice)
})

test('nobody is found who may not decide, who is of another tenant, or whose address is shared', async () => {
  const { directory, add } = start()
  await add('billing', { role: 'agent', email: 'billing@example.com' })
  for (const name of ['watcher', 'elsewhere', 'nobody', 'billing', 'service', ''])
    expect([name, await named(directory, name)]).toEqual([name, undefined])
  for (const name of ['watcher', 'elsewhere', 'twins', 'billing'])
    expect([name, await addressed(directory, `${name}@example.com`)]).toEqual([name, undefined])
  expect(await named(directory, 'elsewhere', 'other')).toMatchObject({ tenant: 'other' })
})

test('a key of the store stands for its person until it is revoked, the newest of several', async () => {
  const { directory, keys, add } = start()
  const older = await add('bob', { groups: ['ops'] })
  const newer = await add('bob', { email: 'bob@example.com', role: 'admin' })
  await add('bob', { role: 'agent' })
  expect(await named(directory, 'bob')).toMatchObject({ id: newer.id, role: 'admin' })
  expect(await addressed(directory, 'bob@example.com')).toMatchObject({ id: newer.id })
  await keys.revoke(newer.id)
  expect(await addressed(directory, 'bob@example.com')).toBeUndefined()
  expect(await named(directory, 'bob')).toMatchObject({ id: older.id, groups: ['ops'] })
  await keys.revoke(older.id)
  expect(await named(directory, 'bob')).toBeUndefined()
})

test('what the configuration says of somebody goes before their keys', async () => {
  const { directory, add } = start()
  await add('alice', { role: 'admin', groups: ['everything'], email: 'other@example.com' })
  await add('watcher')
  expect(await named(directory, 'alice')).toMatchObject({ role: 'approver', groups: ['finance'] })
  expect(await addressed(directory, 'other@example.com')).toBeUndefined()
  expect(await named(directory, 'watcher')).toBeUndefined()
})

test('another process asks the decider, with a service key alone', async () => {
  const { directory, add } = start()
  await add('bob')
  const app = await createHttpApp({ identity: directory, log: createLogger('silent'), metrics: createMetrics() })
  await app.register(internalRoutes, { decider: {} as Decider, directory })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const http = createDeciderHttp({ url, serviceKey: SERVICE_KEY })
  const stranger = createDeciderHttp({ url, serviceKey: 'x'.repeat(32) })
  onTestFinished(async () => {
    await Promise.all([http.close(), stranger.close()])
    await app.close()
  })
  const identity = createIdentityClient({ http, clock: systemClock })
  expect(await named(identity, 'bob')).toEqual(await named(directory, 'bob'))
  expect(await addressed(identity, 'alice@example.com')).toEqual(await named(directory, 'alice'))
  expect(await named(identity, 'nobody')).toBeUndefined()
  const refused = named(createIdentityClient({ http: stranger, clock: systemClock }), 'bob')
  await expect(refused).rejects.toMatchObject({ code: 'decider_unavailable' })
})
