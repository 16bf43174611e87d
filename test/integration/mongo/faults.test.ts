import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createMongoApprovalStore } from '../../../lib/adapters/mongo/approval-store.ts'
import { connectMongo } from '../../../lib/adapters/mongo/connection.ts'
import { createMongoKeyStore } from '../../../lib/adapters/mongo/key-store.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { auditApproval } from '../../../lib/core/audit.ts'
import type { ApprovalStore } from '../../../lib/ports/approval-store.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { anApproval, approved, stepped } from '../../support/approvals.ts'
import { withBackend } from '../../support/backends/backend.ts'
import { type Mongod, startMongod } from '../../support/backends/mongo.ts'
import { type MongoDatabase, mongoDatabase } from '../../support/mongo-database.ts'
import { lossyProxy } from './lossy-proxy.ts'

const AWAY = { code: 'decider_unavailable' }

/** Tests that stop and kill the server need one of their own. */
const findOwnMongod = (): Promise<Mongod | { reason: string }> =>
  startMongod().catch((error: Error) => ({ reason: error.message }))

await withBackend('faults of MongoDB', findOwnMongod, (mongod) => {
  describe('faults of MongoDB', () => {
    let database: MongoDatabase
    beforeEach(() => {
      database = mongoDatabase(mongod)
      return () => database.remove()
    })
    afterAll(() => mongod.stop())

    const openStore = async (url?: string): Promise<ApprovalStore> => {
      const { db } = await database.connect(url)
      const store = createMongoApprovalStore({ db, clock: realClock })
      onTestFinished(() => store.close())
      return store
    }

    it('a server that takes connections and answers nothing: every call is refused in time, and works again after', async () => {
      const store = await openStore()
      const keys = createMongoKeyStore({ db: (await database.connect()).db, clock: realClock })
      const record = anApproval()
      await store.insert(record)

      mongod.pause()
      const refusals = await Promise.allSettled([
        within(3_000, store.get(record.id)),
        within(3_000, store.insert(anApproval())),
        within(3_000, store.replace(1, approved(record))),
        within(3_000, store.list({ tenant: 'default', limit: 1 })),
        within(3_000, store.findDue(0, 1)),
        within(3_000, store.ping()),
        within(3_000, keys.findByHash('x')),
      ])
      mongod.resume()
      for (const refusal of refusals) expect(refusal).toMatchObject({ status: 'rejected', reason: AWAY })

      await eventually(() => store.ping())
      await eventually(() => keys.list())
      const current = await store.get(record.id)
      // A refused write may have been done when the server went on: then it is there whole.
      expect([record.version, approved(record).version]).toContain(current?.version)
      if (current?.version === record.version) expect(await store.replace(1, approved(record))).toBe(true)
    })

    it('a server that is killed in the middle of a burst: nothing that was acknowledged is lost, nothing is doubled', async () => {
      const store = await openStore()
      const writers = Array.from({ length: 20 }, () => new Writer(store))
      await Promise.all(writers.map((writer) => writer.begin()))
      const running = writers.map((writer) => writer.run())
      await until(() => writers.every(({ acknowledged }) => acknowledged > 3))

      await mongod.kill()
      await until(() => writers.every(({ refusals }) => refusals > 0))
      await mongod.restart()
      const before = writers.map(({ acknowledged }) => acknowledged)
      await until(() => writers.every(({ acknowledged }, index) => acknowledged > before[index]! + 3))
      for (const writer of writers) writer.stop()
      await Promise.all(running)

      for (const writer of writers) {
        const record = await store.get(writer.record.id)
        expect(record?.version).toBeGreaterThanOrEqual(writer.acknowledged)
        expect(auditApproval(record!)).toEqual([])
        expect(writer.lostWithoutCause).toBe(0)
      }
    }, 60_000)

    it('a server that is killed and back at once: the calls go through, and no swap is told to be lost', async () => {
      const store = await openStore()
      const writers = Array.from({ length: 20 }, () => new Writer(store))
      await Promise.all(writers.map((writer) => writer.begin()))
      const running = writers.map((writer) => writer.run())
      for (let round = 0; round < 3; round++) {
        const before = writers.map(({ acknowledged }) => acknowledged)
        await until(() => writers.every(({ acknowledged }, index) => acknowledged > before[index]! + 2))
        await mongod.kill()
        await mongod.restart()
      }
      for (const writer of writers) writer.stop()
      await Promise.all(running)
      for (const writer of writers) {
        expect(writer.lostWithoutCause).toBe(0)
        expect(auditApproval((await store.get(writer.record.id))!)).toEqual([])
      }
    }, 60_000)

    it('a server that goes away and comes back: the log says both, once', async () => {
      const lines: string[] = []
      const logger = { warn: (line: string) => lines.push(line), info: (line: string) => lines.push(line) }
      const { close } = await connectMongo({ url: database.url, logger })
      await mongod.kill()
      await until(() => lines.length === 1)
      await mongod.restart()
      await until(() => lines.length === 2)
      await close()
      expect(lines).toEqual(['MongoDB has no primary that can be reached', 'MongoDB can be written again'])
    })

    describe('an answer that is lost on its way', () => {
      let port: number
      beforeAll(() => {
        port = Number(new URL(mongod.url).port)
      })

      it('a swap that was done is told to be won, and done once', async () => {
        const proxy = await lossyProxy(port)
        onTestFinished(() => proxy.close())
        const store = await openStore(throughProxy(database.url, proxy.port))
        const records = Array.from({ length: 10 }, () => anApproval())
        await Promise.all(records.map((record) => store.insert(record)))

        proxy.loseAnswerTo('$replaceWith')
        const [first, ...rest] = records
        const outdated = store.replace(7, approved(first!))
        expect(await Promise.all(rest.map((record) => store.replace(1, approved(record))))).toEqual(
          rest.map(() => true),
        )
        expect(await outdated).toBe(false)
        expect(proxy.lost()).toBe(1)
        for (const record of rest) expect((await store.get(record.id))?.version).toBe(2)
      })

      it('a record that was inserted is told to be inserted', async () => {
        const proxy = await lossyProxy(port)
        onTestFinished(() => proxy.close())
        const store = await openStore(throughProxy(database.url, proxy.port))
        const taken = anApproval()
        await store.insert(taken)

        proxy.loseAnswerTo('stripe.refund')
        const inserted = await Promise.all([taken, anApproval(), anApproval()].map((record) => store.insert(record)))
        expect(inserted).toEqual([false, true, true])
        expect(proxy.lost()).toBe(1)
      })
    })
  })
})

/** Changes one record again and again, as the decider does: reads it, steps it, swaps it. */
class Writer {
  readonly #store: ApprovalStore
  #stopped = false
  /** A refused write may still be done: then one swap is lost to it. */
  #mayBeOvertaken = false
  record: Approval = anApproval({ keep: false })
  /** The highest version that was acknowledged. */
  acknowledged = 0
  refusals = 0
  lostWithoutCause = 0

  constructor(store: ApprovalStore) {
    this.#store = store
  }

  async begin(): Promise<void> {
    await this.#store.insert(this.record)
    this.acknowledged = this.record.version
  }

  stop(): void {
    this.#stopped = true
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const current = await this.#store.get(this.record.id)
        if (!current || current.version < this.acknowledged) throw new Error('an acknowledged write is lost')
        const next = stepped(current, { type: 'join', holder: `gate:1:${current.version}`, keep: false })
        if (await this.#store.replace(current.version, next)) this.acknowledged = next.version
        else if (!this.#mayBeOvertaken) this.lostWithoutCause++
        this.#mayBeOvertaken = false
      } catch (error) {
        expect(error).toMatchObject(AWAY)
        this.refusals++
        this.#mayBeOvertaken = true
      }
    }
  }
}

const throughProxy = (url: string, port: number): string => {
  const { pathname } = new URL(url)
  return `mongodb://127.0.0.1:${port}${pathname}?directConnection=true`
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const eventually = (call: () => Promise<unknown>) => vi.waitFor(call, { timeout: 10_000, interval: 20 })

const until = (condition: () => boolean) => expect.poll(condition, { timeout: 20_000, interval: 20 }).toBe(true)
