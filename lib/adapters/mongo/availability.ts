import { BSON, MongoInvalidArgumentError, MongoServerError } from 'mongodb'
import { CountersignError } from '../../core/errors.ts'
import type { Clock } from '../../ports/clock.ts'

/** A call that has no answer by then is refused; whether it was done is not known. */
export const DEADLINE_MS = 2_000

export interface Calls {
  /** Runs a call to MongoDB; rejects with what `errorOf` makes of its failure. */
  run<T>(operation: () => Promise<T>): Promise<T>
  /** `decider_unavailable`, unless the fault is in what was asked: that stays as it is. */
  errorOf(cause: unknown): unknown
}

/**
 * Calls that answer in time: whatever says that the server is away becomes `decider_unavailable`, and so does silence.
 * The driver has time-outs for selecting a server and for connecting, and none for an answer that does not come.
 */
export function inTime(clock: Clock, subject: string): Calls {
  const errorOf = (cause: unknown) =>
    isOurs(cause) ? cause : new CountersignError('decider_unavailable', `${subject} cannot be used.`, { cause })

  return {
    errorOf,
    run: (operation) =>
      new Promise((resolve, reject) => {
        const late = () => reject(errorOf(new Error(`no answer within ${DEADLINE_MS} ms`)))
        const cancel = clock.after(DEADLINE_MS, late)
        operation()
          .then(resolve, (error: unknown) => reject(errorOf(error)))
          .finally(cancel)
      }),
  }
}

/** True for a document that the driver refuses to send: nothing of its batch was sent either. */
export const isUnsendable = (error: unknown): boolean =>
  error instanceof MongoInvalidArgumentError || error instanceof BSON.BSONError || error instanceof RangeError

const BSON_OBJECT_TOO_LARGE = 10_334
const DOCUMENT_VALIDATION_FAILURE = 121

/** True when another try can have no other end: the fault is in what was asked, not in the server. */
const isOurs = (error: unknown): boolean =>
  error instanceof CountersignError ||
  isUnsendable(error) ||
  (error instanceof MongoServerError &&
    (error.code === BSON_OBJECT_TOO_LARGE || error.code === DOCUMENT_VALIDATION_FAILURE))
