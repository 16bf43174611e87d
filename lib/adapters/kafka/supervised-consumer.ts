import type { Consumer, EachBatchPayload } from 'kafkajs'
import type { Topic } from '../../core/events.ts'
import type { Clock } from '../../ports/clock.ts'
import { type Client, type KafkaConnection, type KafkaLogger, openClient } from './client.ts'
import type { Intake } from './intake.ts'
import type { Received } from './message.ts'
import { inTime, pause, pauseMs } from './retry.ts'
import type { TopicNames } from './topics.ts'

/** What a kind of subscription does in its own way. */
export interface ConsumerHooks {
  /** A name for the group; asked each time a consumer is built. */
  groupId(): string
  /** It has its partitions, and fetches from them next: the time to seek. `generation` counts. */
  joined(consumer: Consumer, generation: number): void
  /** What of a batch is still to be handled. */
  wanted?(partition: string, batch: EachBatchPayload['batch']): EachBatchPayload['batch']['messages']
  /** Everything below `next` is handled; the batch was fetched in `generation`. */
  moved(partition: string, next: number, generation: number): void
  /** Kafka answered a fetch: the first one, or the first one `afterGap`, when deliveries were interrupted. */
  fetching?(afterGap: boolean): void
  /** It leaves its partitions, or may lose them: the time to commit. */
  leaving?(consumer: Consumer): Promise<void>
  /** It is gone for good. */
  left?(groupId: string): Promise<void>
}

export interface ConsumerOptions {
  connection: KafkaConnection
  clock: Clock
  logger?: KafkaLogger | undefined
  names: TopicNames
  topics: readonly Topic[]
  /** How long Kafka waits for a sign of life before it gives the partitions to others. */
  sessionTimeoutMs: number
  intake: Intake
  hooks: ConsumerHooks
}

export interface SupervisedConsumer {
  /** True while it has its partitions and Kafka answers it. */
  isLive(): boolean
  /** Resolves when the handler runs no more and the group is left, as far as Kafka can be reached. */
  close(): Promise<void>
}

/** One consumer of kafkajs, as long as that lives. */
interface Session {
  client: Client
  consumer: Consumer
  groupId: string
}

/** Also how long a seek, a resume and a close wait at most: they take effect between two fetches. */
const FETCH_WAIT_MS = 250
const HEARTBEAT_MS = 1_000
/** Members hear of a rebalance by their heartbeat. */
const ANSWER_MS = 3 * HEARTBEAT_MS
const REQUEST_TIMEOUT_MS = 10_000
const STALLED_MS = 30_000
const CLOSE_MS = 1_000
const SLICE = 500
/** So many partitions of a fetch share one call of the handler. */
const PARTITIONS_AT_ONCE = 16
/** A short outage keeps the member and its partitions; a longer one ends in a crash, and a new consumer. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2, retries: 60 }

/** Keeps a consumer running through crashes and outages until it is closed. */
export function superviseConsumer(options: ConsumerOptions): SupervisedConsumer {
  const { connection, clock, logger, names, topics, sessionTimeoutMs, intake, hooks } = options
  const closing = new AbortController()
  const failures = new Map<string, number>()
  const resumptions = new Set<() => void>()
  let session: Session | undefined
  let hasJoined = false
  let flow: 'new' | 'flowing' | 'interrupted' = 'new'
  let generation = 0
  let busy = 0
  let answeredAt = Number.NEGATIVE_INFINITY
  const running = keepRunning()

  async function keepRunning(): Promise<void> {
    for (let crashes = 0; !closing.signal.aborted; ) {
      const opened = open()
      session = opened
      try {
        await run(opened)
      } catch (error) {
        if (closing.signal.aborted) return
        crashes = hasJoined ? 1 : crashes + 1
        if (crashes === 1) logger?.warn({ err: error, topics }, 'delivery from Kafka was interrupted; trying again')
      }
      hasJoined = false
      opened.client.sever()
      void hooks.left?.(opened.groupId)
      await pause(clock, pauseMs(crashes), closing.signal)
    }
  }

  function open(): Session {
    const network = { connection, logger, requestTimeoutMs: REQUEST_TIMEOUT_MS, retry: RETRY }
    const client = openClient({ ...network, onDisconnected: interrupted })
    const groupId = hooks.groupId()
    const consumer = client.kafka.consumer({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: sessionTimeoutMs,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      minBytes: 1,
      allowAutoTopicCreation: false,
      // A crash always ends the consumer: there is one way to come back, and it is ours.
      retry: { ...RETRY, restartOnFailure: async () => false },
    })
    return { client, consumer, groupId }
  }

  function interrupted(): void {
    if (flow === 'flowing') flow = 'interrupted'
  }

  /** Rejects when the consumer is of no use any more. */
  async function run(opened: Session): Promise<never> {
    const { consumer } = opened
    const { CRASH, GROUP_JOIN, REBALANCING, REQUEST, REQUEST_TIMEOUT } = consumer.events
    const crashed = new Promise<never>((_, reject) => {
      consumer.on(CRASH, ({ payload }) => reject(payload.error))
    })
    consumer.on(REQUEST, ({ payload }) => {
      answeredAt = clock.now()
      if (flow === 'flowing' || !hasJoined || payload.apiName !== 'Fetch') return
      const afterGap = flow === 'interrupted'
      flow = 'flowing'
      hooks.fetching?.(afterGap)
    })
    consumer.on(REQUEST_TIMEOUT, interrupted)
    consumer.on(GROUP_JOIN, () => {
      generation += 1
      hasJoined = true
      interrupted()
      hooks.joined(consumer, generation)
    })
    consumer.on(REBALANCING, () => void hooks.leaving?.(consumer))
    skipWhatHoldsNoMessages(consumer)
    const started = start(consumer)
    await Promise.race([crashed, stalled(opened), started.then(() => crashed)])
    throw new Error('the consumer ended')
  }

  async function start(consumer: Consumer): Promise<void> {
    await consumer.connect()
    // Where the group has no offset, or one that is no longer there.
    await consumer.subscribe({ topics: topics.map(names.kafkaName), fromBeginning: true })
    await consumer.run({
      // kafkajs would commit after each batch, and the next fetch would wait for it.
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch,
    })
  }

  /** Markers of transactions have offsets, but no messages: kafkajs passes over them without calling us. */
  function skipWhatHoldsNoMessages(consumer: Consumer): void {
    consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
      const { topic, partition, batchSize, lastOffset } = payload
      if (batchSize === 0) hooks.moved(names.partitionOf({ topic, partition }), Number(lastOffset) + 1, generation)
    })
  }

  /** Rejects when Kafka has not answered for long, although nothing else is being done. */
  async function stalled(opened: Session): Promise<never> {
    for (let since = clock.now(); ; ) {
      await pause(clock, STALLED_MS / 4, closing.signal)
      if (closing.signal.aborted || session !== opened) throw new Error('it is closed')
      since = busy > 0 ? clock.now() : Math.max(since, answeredAt)
      if (clock.now() - since > STALLED_MS) throw new Error('Kafka does not answer')
    }
  }

  async function eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat } = payload
    busy += 1
    const stop = repeat(HEARTBEAT_MS, () => void heartbeat().catch(() => {}))
    try {
      await handle(payload, names.topicOf(batch.topic), names.partitionOf(batch))
    } finally {
      stop()
      busy -= 1
    }
  }

  async function handle(payload: EachBatchPayload, topic: Topic, partition: string): Promise<void> {
    const { batch, resolveOffset, pause: hold, isRunning, isStale } = payload
    const fetchedIn = generation
    const messages = hooks.wanted?.(partition, batch) ?? batch.messages
    if (messages.length === 0) return resolveOffset(batch.lastOffset())
    for (let from = 0; from < messages.length; from += SLICE) {
      if (!isRunning() || isStale() || closing.signal.aborted) return
      const slice = messages.slice(from, from + SLICE)
      const received = slice.map((message): Received => ({ topic, partition, offset: Number(message.offset), message }))
      const isHandled = await intake.deliver({ messages: received, alone: failures.has(partition) })
      if (!isHandled) return tryAgainLater(partition, hold)
      failures.delete(partition)
      const isLast = from + SLICE >= messages.length
      const last = isLast ? batch.lastOffset() : slice.at(-1)!.offset
      resolveOffset(last)
      hooks.moved(partition, Number(last) + 1, fetchedIn)
      // A long way to catch up leaves room for everything else between two slices.
      if (!isLast) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** The partition is fetched again from where it stands, and the others go on meanwhile. */
  function tryAgainLater(partition: string, hold: () => () => void): void {
    if (closing.signal.aborted) return
    const failed = (failures.get(partition) ?? 0) + 1
    failures.set(partition, failed)
    const release = hold()
    busy += 1
    const resume = () => {
      cancel()
      resumptions.delete(resume)
      busy -= 1
      release()
    }
    const cancel = clock.after(pauseMs(failed), resume)
    resumptions.add(resume)
  }

  function repeat(ms: number, action: () => void): () => void {
    let cancel = () => {}
    const arm = () => {
      cancel = clock.after(ms, () => {
        action()
        arm()
      })
    }
    arm()
    return () => cancel()
  }

  async function close(): Promise<void> {
    closing.abort()
    for (const resume of resumptions) resume()
    await intake.close()
    const last = session
    if (last && hasJoined) {
      await inTime(clock, CLOSE_MS, hooks.leaving?.(last.consumer) ?? Promise.resolve()).catch(() => {})
      await inTime(clock, CLOSE_MS, last.consumer.disconnect()).catch(() => {})
    }
    hasJoined = false
    last?.client.sever()
    await inTime(clock, CLOSE_MS, running).catch(() => {})
    if (last) await inTime(clock, CLOSE_MS, hooks.left?.(last.groupId) ?? Promise.resolve()).catch(() => {})
  }

  return {
    isLive: () =>
      hasJoined && session?.client.isConnected() === true && (busy > 0 || clock.now() - answeredAt < ANSWER_MS),
    close,
  }
}
