import type { Db, Filter, FindOptions } from 'mongodb'
import { type Approval, STATUSES, Status } from '../../core/approval.ts'
import { CountersignError } from '../../core/errors.ts'
import type { ApprovalStore, ListQuery } from '../../ports/approval-store.ts'
import type { Clock } from '../../ports/clock.ts'
import { ANSWERING, type ApprovalDocument, approvalOf, documentOf } from './approval-document.ts'
import { createApprovalWrites } from './approval-writes.ts'
import { DEADLINE_MS, inTime } from './availability.ts'
import { createBatches } from './batches.ts'
import { approvalsIn, LIST_INDEX } from './collections.ts'

export interface ApprovalStoreDeps {
  /** The database of a connection that `connectMongo` made. */
  db: Db
  clock: Clock
}

const SCAN_PAGE = 200
const PRUNE_BATCH = 500
/** One answer, not a first page of 101. What nobody waits for any more is not read on. */
const READ = { batchSize: 1_000, maxTimeMS: DEADLINE_MS }
const READS_IN_FLIGHT = 1

/** Records as documents. `close` sends what waits and leaves the connection open: it belongs to its opener. */
export function createMongoApprovalStore({ db, clock }: ApprovalStoreDeps): ApprovalStore {
  const approvals = approvalsIn(db)
  const calls = inTime(clock, 'The approval store')
  const writes = createApprovalWrites({ approvals, clock, calls })
  let closed = false

  const gets = createBatches<string, Approval | undefined>({
    inFlight: READS_IN_FLIGHT,
    schedule: setImmediate,
    send: async (ids) => {
      const found = await calls.run(() => approvals.find({ _id: { $in: ids } }, READ).toArray())
      const byId = new Map(found.map((document) => [document._id, approvalOf(document)]))
      return ids.map((id) => ({ value: byId.get(id) }))
    },
  })

  const fits = createBatches<{ fingerprint: string; deniedSince: number }, Approval[]>({
    inFlight: READS_IN_FLIGHT,
    schedule: setImmediate,
    send: async (asked) => {
      const deniedSince = Math.min(...asked.map((each) => each.deniedSince))
      const filter = {
        'action.fingerprint': { $in: [...new Set(asked.map(({ fingerprint }) => fingerprint))] },
        status: { $in: ANSWERING },
        $nor: [{ status: Status.denied, endedAt: { $lt: deniedSince } }],
      }
      const options = { ...READ, sort: { requestedAt: 1, _id: 1 } } as const
      const found = await calls.run(() => approvals.find(filter, options).toArray())
      return asked.map((each) => ({ value: found.filter((document) => doesFit(document, each)).map(approvalOf) }))
    },
  })

  async function open<T>(operation: () => Promise<T>): Promise<T> {
    if (closed) throw new CountersignError('decider_unavailable', 'The approval store is closed.')
    return operation()
  }

  const read = <T>(operation: () => Promise<T>): Promise<T> => open(() => calls.run(operation))

  const find = (filter: Filter<ApprovalDocument>, options: FindOptions): Promise<Approval[]> =>
    read(async () => (await approvals.find(filter, { ...READ, ...options }).toArray()).map(approvalOf))

  async function* scan(): AsyncIterable<Approval> {
    let last: Approval | undefined
    for (;;) {
      const page = await find(last ? olderThan(last) : {}, { sort: { requestedAt: 1, _id: 1 }, limit: SCAN_PAGE })
      yield* page
      last = page.at(-1)
      if (page.length < SCAN_PAGE) return
    }
  }

  return {
    insert: (approval) => open(() => writes.insert(documentOf(approval))),
    get: (id) => open(() => gets.add(id)),
    replace: (expectedVersion, next) => open(() => writes.replace({ expectedVersion, next: documentOf(next) })),
    // By its index: among several states the planner may prefer the index of age, and walk through other tenants.
    list: (query) =>
      find(filterOf(query), { sort: { requestedAt: -1, _id: -1 }, limit: query.limit, hint: LIST_INDEX }),
    countPending: () =>
      read(async () => {
        const pipeline = [{ $match: { status: Status.pending } }, { $group: { _id: '$tenant', count: { $sum: 1 } } }]
        const counts = await approvals.aggregate<{ _id: string; count: number }>(pipeline, READ).toArray()
        return new Map(counts.map(({ _id, count }) => [_id, count]))
      }),
    findByFingerprint: (fingerprint, deniedSince) => open(() => fits.add({ fingerprint, deniedSince })),
    findDue: (now, limit) => find({ dueAt: { $lte: now } }, { sort: { dueAt: 1 }, limit }),
    nextDueAt: () =>
      read(async () => {
        const options = { ...READ, sort: { dueAt: 1 }, projection: { _id: 0, dueAt: 1 } } as const
        return (await approvals.findOne({ dueAt: { $exists: true } }, options))?.dueAt
      }),
    findOutbox: (limit) => find({ 'outbox.at': { $exists: true } }, { sort: { 'outbox.at': 1 }, limit }),
    clearOutbox: (id, eventIds) => open(() => writes.clearOutbox({ id, eventIds })),
    scan,
    async prune(endedBefore) {
      const ended = { endedAt: { $lt: endedBefore }, outbox: { $size: 0 } }
      let pruned = 0
      for (;;) {
        const options = { ...READ, sort: { endedAt: 1 }, limit: PRUNE_BATCH, projection: { _id: 1 } } as const
        const ids = await read(() => approvals.find(ended, options).toArray())
        // Asked again: an event may have come into an outbox meanwhile.
        const { deletedCount } = await read(() =>
          approvals.deleteMany({ _id: { $in: ids.map(({ _id }) => _id) }, ...ended }),
        )
        pruned += deletedCount
        if (ids.length < PRUNE_BATCH) return pruned
      }
    },
    ping: () =>
      read(async () => {
        await db.command({ ping: 1 }, { readPreference: 'primary' })
      }),
    async close() {
      closed = true
      await Promise.all([gets.flush(), fits.flush(), writes.flush()])
    },
  }
}

/** In the order of `scan`. `$nor` leaves the index a single range to walk, which `$or` would not. */
const olderThan = ({ requestedAt, id }: Pick<Approval, 'requestedAt' | 'id'>): Filter<ApprovalDocument> => ({
  requestedAt: { $gte: requestedAt },
  $nor: [{ requestedAt, _id: { $lte: id } }],
})

const doesFit = (
  { action, status, endedAt = 0 }: ApprovalDocument,
  asked: { fingerprint: string; deniedSince: number },
): boolean => action.fingerprint === asked.fingerprint && (status !== Status.denied || endedAt >= asked.deniedSince)

function filterOf({ tenant, status, agent, tool, risk, q, after }: ListQuery): Filter<ApprovalDocument> {
  const not: Filter<ApprovalDocument>[] = []
  if (after) not.push({ requestedAt: after.requestedAt, _id: { $gte: after.id } })
  if (agent !== undefined) not.push({ 'agent.id': { $ne: agent }, 'agent.name': { $ne: agent } })
  return {
    tenant,
    // All of them: with each named, the index gives every one in order and merges them.
    status: { $in: [...(status ?? STATUSES)] },
    ...(after && { requestedAt: { $lte: after.requestedAt } }),
    ...(tool !== undefined && { 'action.tool': tool }),
    ...(risk !== undefined && { risk }),
    // Not $regex: a piece of text has no pattern that would need escaping.
    ...(q !== undefined && { $expr: { $gte: [{ $indexOfBytes: ['$search', { $literal: q.toLowerCase() }] }, 0] } }),
    ...(not.length > 0 && { $nor: not }),
  }
}
