import { type AnyBulkWriteOperation, type Collection, MongoServerError, type WriteError } from 'mongodb'
import type { Clock } from '../../ports/clock.ts'
import type { ApprovalDocument } from './approval-document.ts'
import { type Calls, isUnsendable } from './availability.ts'
import { type Answer, createBatches } from './batches.ts'
import { type BulkOutcome, DUPLICATE_KEY, writeUnordered } from './bulk.ts'

/** Two keep the server busy while one is on its way; with more, batches get smaller and everything dearer. */
const WRITES_IN_FLIGHT = 2
/** Clearing is not urgent: what is not cleared is published once more. */
const CLEAR_EVERY_MS = 50

/** `$replaceWith` got something that is not a document. */
const NOT_A_DOCUMENT = 40_228

interface Swap {
  expectedVersion: number
  next: ApprovalDocument
}

interface Clearance {
  id: string
  eventIds: readonly string[]
}

type Operation = AnyBulkWriteOperation<ApprovalDocument>

/**
 * The writes of an approval store. Those of one turn of the event loop go out as one unordered bulk, and each caller
 * learns what came of its own.
 */
export function createApprovalWrites(deps: { approvals: Collection<ApprovalDocument>; clock: Clock; calls: Calls }) {
  const { approvals, clock, calls } = deps

  const inserts = createBatches<ApprovalDocument, boolean>({
    inFlight: WRITES_IN_FLIGHT,
    schedule: setImmediate,
    send: apartIfUnsendable(async (documents) => {
      const { failures } = await bulk(documents.map((document) => ({ insertOne: { document } })))
      return documents.map((_, index) => answer(failures.get(index), DUPLICATE_KEY))
    }),
  })

  const swaps = createBatches<Swap, boolean>({
    inFlight: WRITES_IN_FLIGHT,
    schedule: setImmediate,
    send: apartIfUnsendable(async (batch) => {
      const { matched, failures } = await bulk(batch.map(swapOperation))
      const isAnyUnknown = matched + failures.size < batch.length
      const unknown = isAnyUnknown ? await unknownOf(batch.map(({ next }) => next._id)) : new Set<string>()
      return batch.map(({ next }, index) =>
        unknown.has(next._id) ? { value: false } : answer(failures.get(index), NOT_A_DOCUMENT),
      )
    }),
  })

  const clearances = createBatches<Clearance, void>({
    inFlight: 1,
    schedule: (flush) => clock.after(CLEAR_EVERY_MS, flush),
    send: async (batch) => {
      // A clearance that is lost in a crash costs a repeated event, so it waits for no disk.
      await calls.run(() =>
        approvals.bulkWrite(batch.map(clearOperation), { ordered: false, writeConcern: { w: 1, journal: false } }),
      )
      return batch.map(() => ({ value: undefined }))
    },
  })

  const bulk = (operations: Operation[]): Promise<BulkOutcome> => calls.run(() => writeUnordered(approvals, operations))

  /** True when it was done, false when it failed for the reason that means no; any other failure is an error. */
  function answer(failure: WriteError | undefined, no: number): Answer<boolean> {
    if (failure === undefined || failure.code === no) return { value: failure === undefined }
    return {
      error: calls.errorOf(new MongoServerError({ message: failure.errmsg ?? 'a write failed', code: failure.code })),
    }
  }

  /** Those ids that no record has. */
  async function unknownOf(ids: string[]): Promise<Set<string>> {
    const known = await calls.run(() => approvals.distinct('_id', { _id: { $in: ids } }))
    return new Set(ids.filter((id) => !known.includes(id)))
  }

  return {
    /** False when the id is taken. */
    insert: (document: ApprovalDocument): Promise<boolean> => inserts.add(document),
    /** False when the stored version is another, or the id is unknown. */
    replace: (swap: Swap): Promise<boolean> => swaps.add(swap),
    clearOutbox: (clearance: Clearance): Promise<void> => clearances.add(clearance),
    async flush(): Promise<void> {
      await Promise.all([inserts.flush(), swaps.flush(), clearances.flush()])
    },
  }
}

/**
 * Replaces the document if its version is the expected one, and fails if it is another. A filter on the version would
 * match nothing then, and a bulk says only how many matched in all, but it names each operation that failed.
 */
const swapOperation = ({ expectedVersion, next }: Swap): Operation => ({
  updateOne: {
    filter: { _id: next._id },
    update: [{ $replaceWith: { $cond: [{ $eq: ['$version', expectedVersion] }, { $literal: next }, null] } }],
  },
})

const clearOperation = ({ id, eventIds }: Clearance): Operation => ({
  updateOne: { filter: { _id: id }, update: { $pull: { outbox: { eventId: { $in: [...eventIds] } } } } },
})

/** One document that cannot be sent keeps the others of its batch from being sent: then each goes by itself. */
const apartIfUnsendable =
  <O, R>(send: (operations: O[]) => Promise<Answer<R>[]>) =>
  async (operations: O[]): Promise<Answer<R>[]> => {
    try {
      return await send(operations)
    } catch (error) {
      if (!isUnsendable(error)) throw error
      if (operations.length === 1) return [{ error }]
      const alone = operations.map(async (operation) => {
        try {
          return await send([operation])
        } catch (error) {
          return [{ error }]
        }
      })
      return (await Promise.all(alone)).flat()
    }
  }
