import { type Db, type Document, type Filter, MongoServerError } from 'mongodb'
import { CountersignError } from '../../core/errors.ts'
import type { Clock } from '../../ports/clock.ts'
import { DELIVERY_STATUSES, type Delivery, type DeliveryStore } from '../../ports/delivery-store.ts'
import { DEADLINE_MS, inTime } from './availability.ts'
import { createBatches } from './batches.ts'
import { DUPLICATE_KEY, writeUnordered } from './bulk.ts'
import { DELIVERY_LIST_INDEX, deliveriesIn } from './collections.ts'
import { createDeliveryClaims } from './delivery-claims.ts'
import { type DeliveryDocument, deliveryDocumentOf, deliveryOf } from './delivery-document.ts'

const READ = { batchSize: 1_000, maxTimeMS: DEADLINE_MS }
const WRITES_IN_FLIGHT = 2
/** How many one write ends or deletes, so that it is done well within the time that a call has. */
const BATCH = 200

/** Deliveries as documents. `close` sends what waits and leaves the connection open: it belongs to its opener. */
export function createMongoDeliveryStore({ db, clock }: { db: Db; clock: Clock }): DeliveryStore {
  const deliveries = deliveriesIn(db)
  const calls = inTime(clock, 'The delivery store')
  const claims = createDeliveryClaims({ deliveries, calls })
  let closed = false

  async function open<T>(operation: () => Promise<T>): Promise<T> {
    if (closed) throw new CountersignError('decider_unavailable', 'The delivery store is closed.')
    return operation()
  }
  const call = <T>(operation: () => Promise<T>): Promise<T> => open(() => calls.run(operation))

  const inserts = createBatches<readonly Delivery[], number>({
    inFlight: WRITES_IN_FLIGHT,
    schedule: setImmediate,
    send: async (batch) => {
      const operations = batch.flat().map((each) => ({ insertOne: { document: deliveryDocumentOf(each) } }))
      const { failures } = await calls.run(() => writeUnordered(deliveries, operations))
      let place = 0
      return batch.map(({ length }) => {
        const failed = Array.from({ length }, () => failures.get(place++)).filter((failure) => failure !== undefined)
        const fault = failed.find(({ code }) => code !== DUPLICATE_KEY)
        if (!fault) return { value: length - failed.length }
        return {
          error: calls.errorOf(new MongoServerError({ message: fault.errmsg ?? 'a write failed', code: fault.code })),
        }
      })
    },
  })

  /** Over and over on some of those that fit, until there are none left; `write` makes them fit no more. */
  async function inBatches(
    fits: Filter<DeliveryDocument>,
    sort: Record<string, 1>,
    write: (fits: Filter<DeliveryDocument>) => Promise<number>,
  ): Promise<number> {
    let done = 0
    for (;;) {
      const options = { ...READ, sort, limit: BATCH, projection: { _id: 1 } } as const
      const found = await call(() => deliveries.find(fits, options).toArray())
      if (found.length > 0) done += await call(() => write({ ...fits, _id: { $in: found.map(({ _id }) => _id) } }))
      if (found.length < BATCH) return done
    }
  }

  const update = async (fits: Filter<DeliveryDocument>, change: Partial<DeliveryDocument>): Promise<number> =>
    (await deliveries.updateMany(fits, { $set: change })).modifiedCount

  return {
    insert: (batch) => open(async () => (batch.length === 0 ? 0 : inserts.add(batch))),
    get: (id) =>
      call(async () => {
        const document = await deliveries.findOne({ _id: id }, READ)
        return document ? deliveryOf(document) : undefined
      }),
    claim: (request) => open(() => claims.claim(request)),
    finish: (owner, next) =>
      open(async () => {
        const { id, endpoint, approvalId, attempts } = next
        const { matchedCount } = await calls.run(() =>
          deliveries.updateOne({ _id: id, owner, attempts }, [{ $set: finishing(next) }]),
        )
        if (matchedCount > 0 && approvalId !== null) await claims.release({ approvalId, endpoint })
        return matchedCount > 0
      }),
    stop: ({ approvalId, types, at }) =>
      open(async () => {
        const { modifiedCount } = await calls.run(() =>
          deliveries.updateMany({ approvalId, type: { $in: [...types] }, status: 'waiting' }, [
            {
              $set: {
                stopAt: { $ifNull: ['$stopAt', at] },
                status: { $cond: [{ $gt: ['$attempts', 0] }, 'stopped', '$status'] },
                endedAt: { $cond: [{ $gt: ['$attempts', 0] }, at, '$endedAt'] },
              },
            },
          ]),
        )
        if (modifiedCount > 0) await claims.release({ approvalId })
      }),
    stopEndpoint: ({ endpoint, at }) =>
      inBatches({ endpoint, status: 'waiting' }, { dueAt: 1 }, (fits) =>
        update(fits, { status: 'stopped', endedAt: at }),
      ),
    due: (now) =>
      call(async () => {
        const next = { ...READ, sort: { dueAt: 1 }, projection: { _id: 0, dueAt: 1 } } as const
        const [endpoints, first] = await Promise.all([
          deliveries.distinct('endpoint', { status: 'waiting', dueAt: { $lte: now } }, { maxTimeMS: DEADLINE_MS }),
          deliveries.findOne({ status: 'waiting', dueAt: { $gt: now } }, next),
        ])
        return { endpoints, nextAt: first?.dueAt }
      }),
    receipt: (endpoint, approvalId) =>
      call(async () => {
        const options = { ...READ, sort: { version: -1 }, projection: { receipt: 1 } } as const
        return (await deliveries.findOne({ approvalId, endpoint, receipt: { $ne: null } }, options))?.receipt ?? null
      }),
    withOutcome: (approvalIds) =>
      call(async () => {
        if (approvalIds.length === 0) return new Set()
        const fits = { approvalId: { $in: [...approvalIds] }, type: 'approval.decided' as const }
        const options = { ...READ, projection: { _id: 0, approvalId: 1 } } as const
        const found = await deliveries.find(fits, options).toArray()
        return new Set(found.flatMap(({ approvalId }) => approvalId ?? []))
      }),
    list: ({ tenant, endpoint, status, after, limit }) =>
      call(async () => {
        const filter: Filter<DeliveryDocument> = {
          endpoint,
          // All of them: with each named, the index gives every one in order and merges them.
          status: { $in: status ? [status] : [...DELIVERY_STATUSES] },
          ...(after && {
            createdAt: { $lte: after.createdAt },
            $nor: [{ createdAt: after.createdAt, _id: { $gte: after.id } }],
          }),
          tenant,
        }
        const options = { ...READ, sort: { createdAt: -1, _id: -1 }, limit, hint: DELIVERY_LIST_INDEX } as const
        return (await deliveries.find(filter, options).toArray()).map(deliveryOf)
      }),
    replay: async (id, at) => (await call(() => update({ _id: id, status: { $ne: 'waiting' } }, replayed(at)))) > 0,
    replayDead: ({ tenant, endpoint, since, at }) =>
      inBatches({ endpoint, status: 'dead', createdAt: { $gte: since }, tenant }, { createdAt: 1 }, (fits) =>
        update(fits, replayed(at)),
      ),
    prune: (endedBefore) =>
      inBatches({ endedAt: { $lt: endedBefore } }, { endedAt: 1 }, async (fits) => {
        const { deletedCount } = await deliveries.deleteMany(fits)
        return deletedCount
      }),
    ping: () =>
      call(async () => {
        await db.command({ ping: 1 }, { readPreference: 'primary' })
      }),
    async close() {
      closed = true
      await inserts.flush()
    },
  }
}

/** What an attempt leaves, by what has become of the delivery meanwhile. */
function finishing({ status, log, dueAt, receipt, endedAt }: Delivery): Document {
  const set = { log: { $literal: log }, receipt: { $literal: receipt }, dueAt, owner: null }
  if (status === 'delivered') return { ...set, status, endedAt }
  const unlessStopped = (field: string, otherwise: unknown) => ({
    $cond: [{ $eq: ['$status', 'stopped'] }, `$${field}`, otherwise],
  })
  if (status !== 'waiting')
    return { ...set, status: unlessStopped('status', status), endedAt: unlessStopped('endedAt', endedAt) }
  const onceMore = (otherwise: unknown, stopped: unknown) => ({
    $cond: [{ $eq: ['$stopAt', null] }, otherwise, stopped],
  })
  return {
    ...set,
    status: unlessStopped('status', onceMore(status, 'stopped')),
    endedAt: unlessStopped('endedAt', onceMore(endedAt, log.at(-1)?.at ?? '$stopAt')),
  }
}

const replayed = (at: number): Partial<DeliveryDocument> => ({
  status: 'waiting',
  attempts: 0,
  dueAt: at,
  owner: null,
  heldFrom: null,
  endedAt: null,
})
