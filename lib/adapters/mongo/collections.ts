import type { Collection, CollectionOptions, Db, IndexDescription } from 'mongodb'
import { ANSWERING, type ApprovalDocument } from './approval-document.ts'
import type { DeliveryDocument } from './delivery-document.ts'
import type { KeyDocument, PassDocument } from './key-store.ts'
import type { EndpointHealthDocument, WebhookDocument } from './webhook-store.ts'

/**
 * What was acknowledged survives the loss of any minority, with its power. Set on the collections, so that no option
 * of the connection string can weaken it. Where no majority answers, the server gives up waiting as we do.
 */
const DURABLE: CollectionOptions = {
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: 2_000 },
  readPreference: 'primary',
  readConcern: { level: 'local' },
}

export const approvalsIn = (db: Db): Collection<ApprovalDocument> => db.collection('approvals', DURABLE)
export const keysIn = (db: Db): Collection<KeyDocument> => db.collection('keys', DURABLE)
export const passesIn = (db: Db): Collection<PassDocument> => db.collection('passes', DURABLE)
export const deliveriesIn = (db: Db): Collection<DeliveryDocument> => db.collection('deliveries', DURABLE)
export const webhooksIn = (db: Db): Collection<WebhookDocument> => db.collection('webhooks', DURABLE)
export const endpointHealthIn = (db: Db): Collection<EndpointHealthDocument> => db.collection('endpointHealth', DURABLE)

export const LIST_INDEX = 'list'
export const DELIVERY_LIST_INDEX = 'list'

/** Listed in docs/reference/mongodb.md. */
const APPROVAL_INDEXES: IndexDescription[] = [
  { name: LIST_INDEX, key: { tenant: 1, status: 1, requestedAt: -1, _id: -1 } },
  { name: 'age', key: { requestedAt: 1, _id: 1 } },
  { name: 'pending', key: { status: 1, tenant: 1 }, partialFilterExpression: { status: 'pending' } },
  {
    name: 'fingerprint',
    key: { 'action.fingerprint': 1, requestedAt: 1, _id: 1 },
    partialFilterExpression: { status: { $in: ANSWERING } },
  },
  { name: 'due', key: { dueAt: 1 }, partialFilterExpression: { dueAt: { $exists: true } } },
  { name: 'ended', key: { endedAt: 1 }, partialFilterExpression: { endedAt: { $exists: true } } },
  { name: 'outbox', key: { 'outbox.at': 1 }, partialFilterExpression: { 'outbox.at': { $exists: true } } },
]

const WAITING = { partialFilterExpression: { status: 'waiting' } }
const DELIVERY_INDEXES: IndexDescription[] = [
  { name: 'due', key: { status: 1, endpoint: 1, dueAt: 1 }, ...WAITING },
  { name: 'next', key: { dueAt: 1 }, ...WAITING },
  { name: 'line', key: { approvalId: 1, endpoint: 1, version: 1 } },
  { name: DELIVERY_LIST_INDEX, key: { endpoint: 1, status: 1, createdAt: -1, _id: -1 } },
  { name: 'ended', key: { endedAt: 1 } },
]

/** Creates what is missing; on a large collection that takes its time. */
export async function createIndexes(db: Db): Promise<void> {
  await approvalsIn(db).createIndexes(APPROVAL_INDEXES)
  await keysIn(db).createIndexes([{ name: 'hash', key: { hash: 1 }, unique: true }])
  await passesIn(db).createIndexes([
    { name: 'key', key: { keyId: 1 } },
    { name: 'expiry', key: { expiresAt: 1 } },
  ])
  await deliveriesIn(db).createIndexes(DELIVERY_INDEXES)
}
