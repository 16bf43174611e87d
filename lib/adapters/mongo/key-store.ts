import type { Db } from 'mongodb'
import { MongoServerError } from 'mongodb'
import { CountersignError } from '../../core/errors.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Key, KeyStore, Pass } from '../../ports/key-store.ts'
import { inTime } from './availability.ts'
import { createBatches } from './batches.ts'
import { DUPLICATE_KEY } from './bulk.ts'
import { keysIn, passesIn } from './collections.ts'

export interface KeyDocument extends Omit<Key, 'id'> {
  _id: string
}

/** `_id` is kind and hash. */
export interface PassDocument extends Pass {
  _id: string
}

const READS_IN_FLIGHT = 1

/** Keys and passes as documents. `close` leaves the connection open: it belongs to its opener. */
export function createMongoKeyStore({ db, clock }: { db: Db; clock: Clock }): KeyStore {
  const keys = keysIn(db)
  const passes = passesIn(db)
  const calls = inTime(clock, 'The key store')

  const isAlive = (pass: Pass): boolean => pass.expiresAt > clock.now()
  const dropExpired = () => passes.deleteMany({ expiresAt: { $lte: clock.now() } })

  /** Every request asks for one: those of one turn of the event loop share a read. */
  const byHash = createBatches<string, Key | undefined>({
    inFlight: READS_IN_FLIGHT,
    schedule: setImmediate,
    send: async (hashes) => {
      const found = await calls.run(() => keys.find({ hash: { $in: [...new Set(hashes)] } }).toArray())
      const known = new Map(found.map((document) => [document.hash, keyOf(document)]))
      return hashes.map((hash) => ({ value: known.get(hash) }))
    },
  })

  async function findById(id: string): Promise<Key | undefined> {
    const document = await calls.run(() => keys.findOne({ _id: id }))
    return document ? keyOf(document) : undefined
  }

  return {
    insert: ({ id, ...key }) =>
      calls.run(async () => {
        try {
          await keys.insertOne({ _id: id, ...key })
        } catch (error) {
          if (!(error instanceof MongoServerError && error.code === DUPLICATE_KEY)) throw error
          throw new CountersignError('invalid_request', 'That key exists already.', { cause: error })
        }
      }),
    findByHash: (hash) => byHash.add(hash),
    findById,
    list: () => calls.run(async () => (await keys.find({}, { sort: { createdAt: 1, _id: 1 } }).toArray()).map(keyOf)),
    revoke: (id) =>
      calls.run(async () => {
        const { deletedCount } = await keys.deleteOne({ _id: id })
        await passes.deleteMany({ keyId: id })
        return deletedCount > 0
      }),
    putPass: (pass) =>
      calls.run(async () => {
        await dropExpired()
        await passes.replaceOne({ _id: idOf(pass) }, { ...pass }, { upsert: true })
      }),
    findPass: (hash, kind) =>
      calls.run(async () => {
        const pass = await passes.findOne({ _id: idOf({ hash, kind }) })
        if (pass && !isAlive(pass)) await dropExpired()
        return pass && isAlive(pass) ? passOf(pass) : undefined
      }),
    takePass: (hash, kind) =>
      calls.run(async () => {
        const pass = await passes.findOneAndDelete({ _id: idOf({ hash, kind }) })
        return pass && isAlive(pass) ? passOf(pass) : undefined
      }),
    close: async () => {},
  }
}

const idOf = ({ hash, kind }: Pick<Pass, 'hash' | 'kind'>): string => `${kind}:${hash}`

const keyOf = ({ _id, ...key }: KeyDocument): Key => ({ id: _id, ...key })
const passOf = ({ _id, ...pass }: PassDocument): Pass => pass
