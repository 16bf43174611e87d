import {
  type AnyBulkWriteOperation,
  type Collection,
  type Document,
  MongoBulkWriteError,
  type WriteError,
} from 'mongodb'

export const DUPLICATE_KEY = 11_000

/** What came of an unordered bulk: how many documents matched, and what failed on its own, by its place. */
export interface BulkOutcome {
  matched: number
  failures: Map<number, WriteError>
}

/** Rejects when nothing certain can be said of the operations that did not fail. */
export async function writeUnordered<D extends Document>(
  collection: Collection<D>,
  operations: AnyBulkWriteOperation<D>[],
): Promise<BulkOutcome> {
  try {
    const { matchedCount } = await collection.bulkWrite(operations, { ordered: false })
    return { matched: matchedCount, failures: new Map() }
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError) || error.result.getWriteConcernError()) throw error
    const failures = error.result.getWriteErrors()
    if (failures.length === 0) throw error
    return { matched: error.result.matchedCount, failures: new Map(failures.map((each) => [each.index, each])) }
  }
}
