import { unreachable, withAdmin } from './admin.ts'
import { openClient } from './client.ts'
import { type DeadLetterOptions, refuseMissing } from './dead-letter-reader.ts'
import { groupPrefixOf } from './topics.ts'

/** Another process sends dead letters back at this moment. */
export class RedriveInProgressError extends Error {
  constructor() {
    super('Dead letters are being sent back by another process: try again when it has ended.')
    this.name = 'RedriveInProgressError'
  }
}

const REQUEST_TIMEOUT_MS = 10_000
const SESSION_TIMEOUT_MS = 10_000
const FETCH_WAIT_MS = 100
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 8 }

/**
 * Works as the only member of a group, so that no two processes send the same letters back. Who joins second sees the
 * first and leaves; of two that join at once both may. Killed, it is in the way for as long as Kafka takes it for alive.
 */
export async function withRedriveLock<T>(
  options: DeadLetterOptions,
  /** Dead letter topics: a group needs some; nothing is read from them here. */
  topics: string[],
  work: () => Promise<T>,
): Promise<T> {
  const { clock, logger } = options
  const groupId = `${groupPrefixOf(options.topicPrefix)}redrive`
  const memberCount = () =>
    withAdmin({ connection: options, clock, logger }, async (admin) => {
      await refuseMissing(admin, topics)
      const { groups } = await admin.describeGroups([groupId])
      return groups.flatMap(({ members }) => members).length
    })
  if ((await memberCount()) > 0) throw new RedriveInProgressError()

  const client = openClient({ connection: options, logger, requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY })
  const consumer = client.kafka.consumer({
    groupId,
    sessionTimeout: SESSION_TIMEOUT_MS,
    // Its fetches have nothing to fetch, and it leaves only between two of them.
    maxWaitTimeInMs: FETCH_WAIT_MS,
    retry: { ...RETRY, restartOnFailure: async () => false },
  })
  try {
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.GROUP_JOIN, () => resolve())
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(unreachable(options, payload.error)))
      const failed = (error: unknown) => reject(unreachable(options, error))
      async function join(): Promise<void> {
        await consumer.connect()
        await consumer.subscribe({ topics, fromBeginning: true })
        const running = consumer.run({ autoCommit: false, eachBatch: async () => {} })
        consumer.pause(topics.map((topic) => ({ topic })))
        await running
      }
      join().catch(failed)
    })
    if ((await memberCount()) > 1) throw new RedriveInProgressError()
    return await work()
  } finally {
    await consumer.disconnect().catch(() => {})
    client.sever()
  }
}
