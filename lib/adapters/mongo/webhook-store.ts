import { type Db, MongoServerError } from 'mongodb'
import { CountersignError } from '../../core/errors.ts'
import type { Clock } from '../../ports/clock.ts'
import { type EndpointHealth, FAILING_PAUSE_MS, type Webhook, type WebhookStore } from '../../ports/webhook-store.ts'
import { inTime } from './availability.ts'
import { DUPLICATE_KEY } from './bulk.ts'
import { endpointHealthIn, webhooksIn } from './collections.ts'

export interface WebhookDocument extends Omit<Webhook, 'id'> {
  _id: string
}

/** `_id` is the endpoint. */
export interface EndpointHealthDocument extends Omit<EndpointHealth, 'endpoint'> {
  _id: string
}

/** Endpoints and their health as documents. `close` leaves the connection open: it belongs to its opener. */
export function createMongoWebhookStore({ db, clock }: { db: Db; clock: Clock }): WebhookStore {
  const webhooks = webhooksIn(db)
  const healths = endpointHealthIn(db)
  const calls = inTime(clock, 'The webhook store')
  let closed = false

  async function call<T>(operation: () => Promise<T>): Promise<T> {
    if (closed) throw new CountersignError('decider_unavailable', 'The webhook store is closed.')
    return calls.run(operation)
  }

  return {
    insert: ({ id, ...webhook }) =>
      call(() => unlessThere(() => webhooks.insertOne({ _id: id, ...webhook }).then(() => true), false)),
    get: (id) =>
      call(async () => {
        const document = await webhooks.findOne({ _id: id })
        return document ? webhookOf(document) : undefined
      }),
    replace: (expectedVersion, { id, ...next }) =>
      call(async () => (await webhooks.replaceOne({ _id: id, version: expectedVersion }, next)).matchedCount > 0),
    remove: (id) =>
      call(async () => {
        const { deletedCount } = await webhooks.deleteOne({ _id: id })
        if (deletedCount > 0) await healths.deleteOne({ _id: id })
        return deletedCount > 0
      }),
    list: () =>
      call(async () => (await webhooks.find({}, { sort: { createdAt: 1, _id: 1 } }).toArray()).map(webhookOf)),
    health: () => call(async () => (await healths.find({}, { sort: { _id: 1 } }).toArray()).map(healthOf)),
    noted: ({ endpoint, tenant, at, succeeded }) => {
      const isLate = { $lt: [at, '$lastAttemptAt'] }
      // Of one that was never tried, it is null.
      const isAnew = { $gt: [{ $subtract: [at, '$lastAttemptAt'] }, FAILING_PAUSE_MS] }
      const failingSince = { $cond: [isAnew, at, { $ifNull: ['$failingSince', at] }] }
      const change = {
        tenant: { $ifNull: ['$tenant', { $literal: tenant }] },
        disabled: { $ifNull: ['$disabled', null] },
        failingSince: { $cond: [isLate, '$failingSince', succeeded ? null : failingSince] },
        lastAttemptAt: { $max: ['$lastAttemptAt', at] },
        lastSuccessAt: succeeded ? { $max: ['$lastSuccessAt', at] } : { $ifNull: ['$lastSuccessAt', null] },
      }
      const note = () =>
        healths.findOneAndUpdate({ _id: endpoint }, [{ $set: change }], { upsert: true, returnDocument: 'after' })
      return call(async () => {
        // Two that both make the document: the slower one finds it at its second try.
        const document = (await unlessThere(note, null)) ?? (await note())
        if (!document) throw new Error('an upsert returned nothing')
        return healthOf(document)
      })
    },
    disable: ({ endpoint, tenant, at, reason }) => {
      const others = { tenant, failingSince: null, lastAttemptAt: null, lastSuccessAt: null }
      const update = { $set: { disabled: { at, reason } }, $setOnInsert: others }
      const isNew = () => healths.updateOne({ _id: endpoint, disabled: null }, update, { upsert: true })
      return call(() => unlessThere(() => isNew().then(() => true), false))
    },
    enable: (endpoint) =>
      call(async () => {
        await healths.updateOne({ _id: endpoint }, { $set: { disabled: null, failingSince: null } })
      }),
    close: async () => {
      closed = true
    },
  }
}

async function unlessThere<T>(insert: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await insert()
  } catch (error) {
    if (error instanceof MongoServerError && error.code === DUPLICATE_KEY) return otherwise
    throw error
  }
}

const webhookOf = ({ _id, ...webhook }: WebhookDocument): Webhook => ({ id: _id, ...webhook })
const healthOf = ({ _id, ...health }: EndpointHealthDocument): EndpointHealth => ({ endpoint: _id, ...health })
