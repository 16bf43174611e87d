import { randomUUID } from 'node:crypto'
import type { KafkaMessage } from 'kafkajs'
import type { Topic } from '../../core/events.ts'
import type { Clock } from '../../ports/clock.ts'
import { withAdmin } from './admin.ts'
import { type KafkaConnection, type KafkaLogger, openClient } from './client.ts'
import { reasonOf } from './kafka-error.ts'
import { type Received, textHeaders } from './message.ts'
import { createPublisher, type OutgoingRecord } from './publisher.ts'
import { extentsOf, groupPrefixOf, topicNames } from './topics.ts'

/** A message that could not be handled, as it came, and why. */
export interface DeadLetter {
  topic: Topic
  /** Its place on `<topic>.dlq`. */
  partition: number
  offset: number
  /** When it was put there, in ms. */
  at: number
  /** Approval id, where it had a key. */
  key: string
  /** `ce_id`; empty where it had none. */
  eventId: string
  cause: string
  /** The group that could not handle it. */
  consumer: string
  value: Uint8Array
  headers: Record<string, string>
}

export interface DeadLetterOptions extends KafkaConnection {
  clock: Clock
  logger?: KafkaLogger
  topicPrefix?: string
}

const HEADERS = { cause: 'dlq_cause', consumer: 'dlq_consumer', partition: 'dlq_partition', offset: 'dlq_offset' }
const FETCH_WAIT_MS = 100
const REQUEST_TIMEOUT_MS = 10_000
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 8 }

/** The message as it came, with what happened to it in headers. */
export function deadLetterOf({ partition, offset, message }: Received, cause: unknown, consumer: string) {
  const { key, value, headers = {} } = message
  const said = {
    [HEADERS.cause]: reasonOf(cause),
    [HEADERS.consumer]: consumer,
    [HEADERS.partition]: partition,
    [HEADERS.offset]: String(offset),
  }
  return { key, value, headers: { ...headers, ...said } } satisfies Omit<OutgoingRecord, 'topic'>
}

/** Those that were not sent back yet, the oldest first. */
export async function listDeadLetters(
  options: DeadLetterOptions,
  { topic, limit }: { topic: Topic; limit: number },
): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  await read(options, topic, {
    groupId: `${groupPrefixOf(options.topicPrefix)}list.${randomUUID()}`,
    keepsPlace: false,
    async handle(messages, partition) {
      for (const message of messages) if (letters.length < limit) letters.push(letterOf(topic, partition, message))
      return letters.length < limit
    },
  })
  return letters
}

/**
 * Puts them on their topic again, as they came, and remembers that: every group gets them, and who handled them knows
 * them by their id. Resolves with how many. Interrupted, it may send some twice.
 */
export async function redriveDeadLetters(options: DeadLetterOptions, { topic }: { topic: Topic }): Promise<number> {
  const { clock, logger } = options
  const publisher = createPublisher({ connection: options, clock, logger })
  const kafkaName = topicNames(options.topicPrefix).kafkaName(topic)
  let count = 0
  try {
    await read(options, topic, {
      groupId: redriveGroup(options),
      keepsPlace: true,
      async handle(messages) {
        await publisher.send(messages.map((message) => ({ topic: kafkaName, ...original(message) })))
        count += messages.length
        return true
      },
    })
  } finally {
    await publisher.close()
  }
  return count
}

const redriveGroup = ({ topicPrefix }: DeadLetterOptions): string => `${groupPrefixOf(topicPrefix)}redrive`

/** Reads what is on the dead letter topic now and was not sent back, until `handle` has had all or says false. */
async function read(
  options: DeadLetterOptions,
  topic: Topic,
  by: {
    groupId: string
    keepsPlace: boolean
    handle(messages: readonly KafkaMessage[], partition: number): Promise<boolean>
  },
): Promise<void> {
  const { clock, logger } = options
  const name = topicNames(options.topicPrefix).deadLetters(topic)
  const { groupId, keepsPlace, handle } = by
  const admin = { connection: options, clock, logger }
  const places = await withAdmin(admin, async (each) => {
    const [sentBack] = await each.fetchOffsets({ groupId: redriveGroup(options), topics: [name] })
    const extents = await extentsOf(each, [name])
    return extents.map(({ partition, low, end }) => {
      const known = sentBack?.partitions.find((of) => of.partition === partition)
      return { partition, start: Math.max(low, Number(known?.offset ?? -1)), end }
    })
  })
  const left = new Map(places.filter(({ start, end }) => start < end).map(({ partition, end }) => [partition, end]))
  if (left.size === 0) return

  const client = openClient({ connection: options, logger, requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY })
  const consumer = client.kafka.consumer({
    groupId,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    retry: { ...RETRY, restartOnFailure: async () => false },
  })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic: name, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
      consumer.on(consumer.events.GROUP_JOIN, () => {
        for (const { partition, start } of places) consumer.seek({ topic: name, partition, offset: String(start) })
      })
      const running = consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        async eachBatch({ batch, resolveOffset }) {
          const { partition } = batch
          const end = left.get(partition) ?? 0
          const messages = batch.messages.filter(({ offset }) => Number(offset) < end)
          try {
            const goesOn = await handle(messages, partition)
            const next = Math.min(end, Number(batch.lastOffset()) + 1)
            if (keepsPlace && next > 0) await consumer.commitOffsets([{ topic: name, partition, offset: String(next) }])
            if (next >= end) left.delete(partition)
            if (!goesOn || left.size === 0) resolve()
          } catch (error) {
            reject(error)
          }
          resolveOffset(batch.lastOffset())
        },
      })
      running.catch(reject)
    })
  } finally {
    await consumer.disconnect().catch(() => {})
    client.sever()
    if (!keepsPlace) await withAdmin(admin, (each) => each.deleteGroups([groupId])).catch(() => {})
  }
}

function letterOf(topic: Topic, partition: number, message: KafkaMessage): DeadLetter {
  const headers = textHeaders(message.headers ?? {})
  return {
    topic,
    partition,
    offset: Number(message.offset),
    at: Number(message.timestamp),
    key: message.key?.toString() ?? '',
    eventId: headers.ce_id ?? '',
    cause: headers[HEADERS.cause] ?? '',
    consumer: headers[HEADERS.consumer] ?? '',
    value: message.value ?? new Uint8Array(),
    headers,
  }
}

function original({ key, value, headers = {} }: KafkaMessage): Omit<OutgoingRecord, 'topic'> {
  const ours = new Set(Object.values(HEADERS))
  return { key, value, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !ours.has(name))) }
}
