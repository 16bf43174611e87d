import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Key, KeyStore, Pass } from '../../lib/ports/key-store.ts'

/** A key store over storage of its own, empty at first, that reads the time from `clock`. */
export interface KeyStoreHarness {
  store: KeyStore
  /** Another instance on the same storage at the same time, as another process has it. */
  openAnother(): Promise<KeyStore>
  /** Another instance over the same storage, after the one before was closed. */
  reopen(): Promise<KeyStore>
  /** Closes what is open and removes the storage. */
  cleanUp(): Promise<void>
}

/** What every key store must do. */
export function runKeyStoreConformance(name: string, makeHarness: (clock: Clock) => Promise<KeyStoreHarness>): void {
  describe(`key store: ${name}`, () => {
    const harnesses: KeyStoreHarness[] = []
    let now = 0
    const clock: Clock = { now: () => now, after: () => () => {} }
    const start = async (): Promise<KeyStoreHarness> => {
      now = 1_000
      const harness = await makeHarness(clock)
      harnesses.push(harness)
      return harness
    }
    afterEach(async () => {
      for (const harness of harnesses.splice(0)) await harness.cleanUp()
    })

    it('finds a key by its hash and its id, and by nothing else', async () => {
      const { store } = await start()
      const key = aKey('one', { groups: ['finance', 'group:"x"'], email: 'a@example.com' })
      await store.insert(key)
      expect(await store.findByHash(key.hash)).toEqual(key)
      expect(await store.findById(key.id)).toEqual(key)
      expect(await store.findByHash(key.id)).toBeUndefined()
      expect(await store.findById('unknown')).toBeUndefined()
    })

    it('finds each of several keys that are asked for at the same time', async () => {
      const { store } = await start()
      const [one, two] = [aKey('one'), aKey('two')]
      await store.insert(one)
      await store.insert(two)
      const hashes = [two.hash, 'unknown', one.hash, two.hash]
      expect(await Promise.all(hashes.map((hash) => store.findByHash(hash)))).toEqual([two, undefined, one, two])
    })

    it('refuses a key whose id or hash is taken, and keeps the first', async () => {
      const { store } = await start()
      const key = aKey('one')
      await store.insert(key)
      await expect(store.insert({ ...aKey('two'), hash: key.hash })).rejects.toMatchObject({ code: 'invalid_request' })
      await expect(store.insert({ ...aKey('two'), id: key.id })).rejects.toMatchObject({ code: 'invalid_request' })
      expect(await store.list()).toEqual([key])
    })

    it('lists keys, oldest first', async () => {
      const { store } = await start()
      const [older, newer] = [aKey('b', { createdAt: 1 }), aKey('a', { createdAt: 2 })]
      await store.insert(newer)
      await store.insert(older)
      expect(await store.list()).toEqual([older, newer])
    })

    it('revokes a key once, and its sessions and login codes end with it', async () => {
      const { store } = await start()
      const [key, other] = [aKey('one'), aKey('two')]
      await store.insert(key)
      await store.insert(other)
      await store.putPass(aPass('s1', key))
      await store.putPass(aPass('l1', key, 'login'))
      await store.putPass(aPass('s2', other))
      expect(await store.revoke(key.id)).toBe(true)
      expect(await store.revoke(key.id)).toBe(false)
      expect(await store.findByHash(key.hash)).toBeUndefined()
      expect(await store.findPass('s1', 'session')).toBeUndefined()
      expect(await store.takePass('l1', 'login')).toBeUndefined()
      expect(await store.findPass('s2', 'session')).toEqual(aPass('s2', other))
    })

    it('keeps a pass of somebody whom it does not know', async () => {
      const { store } = await start()
      await store.putPass(aPass('s1', aKey('listed')))
      expect(await store.findPass('s1', 'session')).toMatchObject({ keyId: aKey('listed').id })
    })

    it('finds a pass again and again, of its own kind, and takes it once', async () => {
      const { store } = await start()
      const key = aKey('one')
      await store.insert(key)
      await store.putPass(aPass('p', key, 'session'))
      expect(await store.findPass('p', 'login')).toBeUndefined()
      expect(await store.takePass('p', 'login')).toBeUndefined()
      for (let round = 0; round < 2; round++) expect(await store.findPass('p', 'session')).toEqual(aPass('p', key))
      expect(await store.takePass('p', 'session')).toEqual(aPass('p', key))
      expect(await store.takePass('p', 'session')).toBeUndefined()
      expect(await store.findPass('p', 'session')).toBeUndefined()
    })

    it('gives a login code to one of many takers', async () => {
      const harness = await start()
      const another = await harness.openAnother()
      const key = aKey('one')
      await harness.store.insert(key)
      await harness.store.putPass(aPass('code', key, 'login'))
      const takers = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? harness.store : another))
      const taken = await Promise.all(takers.map((store) => store.takePass('code', 'login')))
      expect(taken.filter((pass) => pass !== undefined)).toEqual([aPass('code', key, 'login')])
    })

    it('lets a pass live until it expires, and not longer', async () => {
      const { store } = await start()
      const key = aKey('one')
      await store.insert(key)
      await store.putPass(aPass('s', key))
      await store.putPass(aPass('l', key, 'login'))
      now = aPass('s', key).expiresAt - 1
      expect(await store.findPass('s', 'session')).toBeDefined()
      now = aPass('s', key).expiresAt
      expect(await store.findPass('s', 'session')).toBeUndefined()
      expect(await store.takePass('l', 'login')).toBeUndefined()
      now = 1_000
      expect(await store.findPass('s', 'session')).toBeUndefined()
    })

    it('prolongs a pass that is put again', async () => {
      const { store } = await start()
      const key = aKey('one')
      await store.insert(key)
      await store.putPass(aPass('s', key))
      const longer = { ...aPass('s', key), expiresAt: 99_000 }
      await store.putPass(longer)
      expect(await store.findPass('s', 'session')).toEqual(longer)
    })

    it('sees at once what another process changes', async () => {
      const harness = await start()
      const another = await harness.openAnother()
      const key = aKey('one')
      await another.insert(key)
      expect(await harness.store.findByHash(key.hash)).toEqual(key)
      await another.revoke(key.id)
      // What really is another process says so in a turn of its own.
      await new Promise((resolve) => setImmediate(resolve))
      expect(await harness.store.findByHash(key.hash)).toBeUndefined()
    })

    it('keeps keys and passes across a restart', async () => {
      const harness = await start()
      const key = aKey('one')
      await harness.store.insert(key)
      await harness.store.putPass(aPass('s', key))
      const store = await harness.reopen()
      expect(await store.findByHash(key.hash)).toEqual(key)
      expect(await store.findPass('s', 'session')).toEqual(aPass('s', key))
    })
  })
}

const aKey = (name: string, more: Partial<Key> = {}): Key => ({
  id: `key_${name}`,
  hash: `hash-of-${name}`,
  name,
  role: 'approver',
  tenant: 'default',
  groups: [],
  email: null,
  createdAt: 1,
  ...more,
})

const aPass = (hash: string, key: Key, kind: Pass['kind'] = 'session'): Pass => ({
  hash,
  kind,
  keyId: key.id,
  expiresAt: 10_000,
})
