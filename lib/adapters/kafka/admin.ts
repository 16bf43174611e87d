import type { Admin } from 'kafkajs'
import { CountersignError } from '../../core/errors.ts'
import type { Clock } from '../../ports/clock.ts'
import { type KafkaConnection, type KafkaLogger, openClient } from './client.ts'
import { inTime } from './retry.ts'
import { MissingTopicsError } from './topics.ts'

const RETRY = { initialRetryTime: 100, maxRetryTime: 500, factor: 0.2, multiplier: 2, retries: 5 }
const REQUEST_TIMEOUT_MS = 5_000
const LONGEST_MS = 15_000
const CLOSE_MS = 500

/** Does administrative work over a connection of its own. Rejects with `bus_unavailable` when Kafka cannot be reached. */
export async function withAdmin<T>(
  deps: { connection: KafkaConnection; clock: Clock; logger?: KafkaLogger | undefined },
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const { connection, clock, logger } = deps
  const client = openClient({ connection, logger, requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY })
  const admin = client.kafka.admin({ retry: RETRY })
  try {
    return await inTime(
      clock,
      LONGEST_MS,
      admin.connect().then(() => work(admin)),
    )
  } catch (error) {
    throw error instanceof MissingTopicsError ? error : unreachable(connection, error)
  } finally {
    await inTime(clock, CLOSE_MS, admin.disconnect()).catch(() => {})
    client.sever()
  }
}

export function unreachable({ brokers }: KafkaConnection, error: unknown): CountersignError {
  const why = error instanceof Error ? error.message : String(error)
  return new CountersignError('bus_unavailable', `Kafka cannot be used at ${brokers.join(', ')}: ${why}`, {
    cause: error,
  })
}
