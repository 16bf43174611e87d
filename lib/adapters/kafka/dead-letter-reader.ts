import { randomUUID } from 'node:crypto'
import type { Admin, KafkaMessage } from 'kafkajs'
import type { Topic } from '../../core/events.ts'
import type { Clock } from '../../ports/clock.ts'
import { unreachable, withAdmin } from './admin.ts'
import { type KafkaConnection, type KafkaLogger, openClient } from './client.ts'
import { extentsOf, groupPrefixOf, MissingTopicsError, topicNames } from './topics.ts'

export interface DeadLetterOptions extends KafkaConnection {
  clock: Clock
  logger?: KafkaLogger
  topicPrefix?: string
}

export type Visit = (topic: Topic, partition: number, messages: readonly KafkaMessage[]) => void | Promise<void>
/** Shows all that was there when the reader was opened, each partition in order; may be called again. */
export type Pass = (visit: Visit) => Promise<void>

const FETCH_WAIT_MS = 100
const REQUEST_TIMEOUT_MS = 10_000
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 8 }
const STALLED_MS = 30_000

/** Reads the dead letters of topics, for as long as `work` takes. Rejects with `bus_unavailable`, or MissingTopicsError. */
export async function withDeadLetters<T>(
  options: DeadLetterOptions,
  topics: readonly Topic[],
  work: (pass: Pass) => Promise<T>,
): Promise<T> {
  const { clock, logger } = options
  const names = topicNames(options.topicPrefix)
  const topicOf = new Map(topics.map((topic) => [names.deadLetters(topic), topic]))
  const admin = { connection: options, clock, logger }
  const extents = await withAdmin(admin, async (each) => {
    await refuseMissing(each, [...topicOf.keys()])
    return (await extentsOf(each, [...topicOf.keys()])).filter(({ low, end }) => low < end)
  })
  if (extents.length === 0) return work(async () => {})

  const groupId = `${groupPrefixOf(options.topicPrefix)}list.${randomUUID()}`
  const client = openClient({ connection: options, logger, requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY })
  const consumer = client.kafka.consumer({
    groupId,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    retry: { ...RETRY, restartOnFailure: async () => false },
  })
  const placeOf = (topic: string, partition: number) => `${topic}/${partition}`
  const left = new Map<string, { topic: string; partition: number; next: number; end: number }>()
  let joined = false
  let running: { visit: Visit; done(): void; fail(): void } | undefined
  let failure: unknown

  function seek(): void {
    for (const { topic, partition, next } of left.values()) consumer.seek({ topic, partition, offset: String(next) })
  }

  function fail(error: unknown): void {
    failure ??= error
    running?.fail()
  }

  function pass(visit: Visit): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure)
    for (const { topic, partition, low, end } of extents)
      left.set(placeOf(topic, partition), { topic, partition, next: low, end })
    return new Promise<void>((resolve, reject) => {
      const stalled = () => fail(unreachable(options, new Error('the dead letters could not be read')))
      let cancel = clock.after(STALLED_MS, stalled)
      const settle = (end: () => void) => () => {
        cancel()
        running = undefined
        end()
      }
      running = {
        visit: (...batch) => {
          cancel()
          cancel = clock.after(STALLED_MS, stalled)
          return visit(...batch)
        },
        done: settle(resolve),
        fail: settle(() => reject(failure)),
      }
      if (joined) seek()
    })
  }

  try {
    consumer.on(consumer.events.CRASH, ({ payload }) => fail(unreachable(options, payload.error)))
    // Again after a rebalance: where it was, for nothing is committed.
    consumer.on(consumer.events.GROUP_JOIN, () => {
      joined = true
      seek()
    })
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [...topicOf.keys()], fromBeginning: true })
    } catch (error) {
      throw unreachable(options, error)
    }
    const reading = consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      async eachBatch({ batch, isStale, resolveOffset }) {
        if (isStale()) return
        const { topic, partition } = batch
        const place = left.get(placeOf(topic, partition))
        const known = topicOf.get(topic)
        if (running && place && known) {
          const { visit, done } = running
          const { next, end } = place
          try {
            await visit(
              known,
              partition,
              batch.messages.filter(({ offset }) => Number(offset) >= next && Number(offset) < end),
            )
          } catch (error) {
            return fail(error)
          }
          place.next = Number(batch.lastOffset()) + 1
          if (place.next >= end) left.delete(placeOf(topic, partition))
          if (left.size === 0) done()
        }
        if (!isStale()) resolveOffset(batch.lastOffset())
      },
    })
    reading.catch((error: unknown) => fail(unreachable(options, error)))
    return await work(pass)
  } finally {
    await consumer.disconnect().catch(() => {})
    client.sever()
    await withAdmin(admin, (each) => each.deleteGroups([groupId])).catch(() => {})
  }
}

export async function refuseMissing(admin: Admin, names: readonly string[]): Promise<void> {
  const existing = new Set(await admin.listTopics())
  const missing = names.filter((name) => !existing.has(name))
  if (missing.length > 0)
    throw new MissingTopicsError(missing, 'dead letters lie nowhere else: is topics.prefix right?')
}
