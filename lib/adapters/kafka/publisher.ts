import { type IHeaders, Partitioners, type Producer, type TopicMessages } from 'kafkajs'
import { CountersignError } from '../../core/errors.ts'
import type { Clock } from '../../ports/clock.ts'
import { type Client, type KafkaConnection, type KafkaLogger, openClient } from './client.ts'
import { protocolErrorOf } from './kafka-error.ts'
import { inTime, pause, pauseMs } from './retry.ts'

/** A message as it is put on a topic. */
export interface OutgoingRecord {
  topic: string
  /** Where it must be; else its key says. */
  partition?: number
  key: Buffer | string | null
  value: Buffer | null
  headers: IHeaders
}

export interface Publisher {
  /**
   * Resolves when all replicas in sync have the records. Rejects with `bus_unavailable` when that did not happen in
   * time; what was on its way then may still arrive.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>
  /** Resolves when connected, or closed. */
  connected(): Promise<void>
  isReady(): boolean
  close(): Promise<void>
}

/** What one `send` or a piece of it waits for. */
interface Entry {
  records: readonly OutgoingRecord[]
  bytes: number
  /** Kafka refused a batch with this in it: it goes by itself, so that nobody suffers for another. */
  alone: boolean
  isSettled(): boolean
  settle(error?: unknown): void
}

interface Connected {
  client: Client
  producer: Producer
  /** Resolves when it must be replaced. */
  lost: Promise<void>
  lose(): void
}

/** A caller hears within two seconds that Kafka is away: this much for Kafka, the rest for everything around it. */
const DEADLINE_MS = 1_500
const CONNECT_MS = 5_000
const CLOSE_MS = 500
const ACKNOWLEDGE_MS = 1_200
/** Kafka takes batches of up to a megabyte for each partition, unless told otherwise. */
const BATCH_BYTES = 512 * 1024
const RECORD_OVERHEAD_BYTES = 64
/** Within the deadline: a leader that moved, a connection that was cut. The producer's sequence makes these harmless. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 300, factor: 0.2, multiplier: 2, retries: 4 }
const REFUSALS = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'TOPIC_AUTHORIZATION_FAILED'])

/** One request at a time, and what comes meanwhile goes with the next: order is kept and a crowd shares a request. */
export function createPublisher(deps: {
  connection: KafkaConnection
  clock: Clock
  logger?: KafkaLogger | undefined
}): Publisher {
  const { connection, clock, logger } = deps
  const closing = new AbortController()
  let queue: Entry[] = []
  let current: Connected | undefined
  let arrivals: (() => void)[] = []
  let sending: Promise<void> | undefined
  let flying = false
  const keepingConnected = keepConnected()

  async function send(records: readonly OutgoingRecord[]): Promise<void> {
    await Promise.all(pieces(records).map(enqueue))
  }

  function enqueue(records: readonly OutgoingRecord[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (closing.signal.aborted) return reject(unavailable('The connection to Kafka is closed.'))
      let settled = false
      const settle = (error?: unknown) => {
        if (settled) return
        settled = true
        cancel()
        if (error === undefined) resolve()
        else reject(unavailable('Kafka did not take the event.', error))
      }
      const cancel = clock.after(DEADLINE_MS, () => {
        queue = queue.filter((each) => each !== entry)
        settle(new Error('it took too long'))
      })
      const entry: Entry = { records, bytes: bytesOf(records), alone: false, isSettled: () => settled, settle }
      queue.push(entry)
      sending ??= sendAll()
    })
  }

  async function sendAll(): Promise<void> {
    // What else is published in this turn of the event loop goes along.
    await new Promise((resolve) => setImmediate(resolve))
    while (queue.length > 0) {
      if (!current) await connected()
      const target = current
      if (target) await sendBatch(target, takeBatch())
      else if (closing.signal.aborted) break
    }
    sending = undefined
  }

  function takeBatch(): Entry[] {
    let bytes = 0
    const end = queue.findIndex((entry, index) => {
      bytes += entry.bytes
      return index > 0 && (bytes > BATCH_BYTES || entry.alone || queue[index - 1]!.alone)
    })
    return queue.splice(0, end < 0 ? queue.length : end)
  }

  async function sendBatch(target: Connected, batch: Entry[]): Promise<void> {
    if (batch.length === 0) return
    flying = true
    try {
      const topicMessages = messagesOf(batch)
      const request = { acks: -1, timeout: ACKNOWLEDGE_MS, topicMessages }
      await inTime(clock, DEADLINE_MS, target.producer.sendBatch(request))
      for (const entry of batch) entry.settle()
    } catch (error) {
      // Whatever it was, what Kafka thinks of the producer's sequence is no longer known: a new producer has a new one.
      target.lose()
      logger?.debug({ err: error, records: batch.length }, 'Kafka did not take a batch of events')
      if (REFUSALS.has(protocolErrorOf(error)?.type ?? '')) {
        if (batch.length === 1) batch[0]!.settle(error)
        for (const entry of batch) entry.alone = true
      }
      queue.unshift(...batch.filter((entry) => !entry.isSettled()))
    } finally {
      flying = false
      if (!target.client.isConnected()) target.lose()
    }
  }

  async function keepConnected(): Promise<void> {
    for (let failures = 0; !closing.signal.aborted; ) {
      try {
        const opened = await open()
        if (closing.signal.aborted) return opened.lose()
        if (failures > 0) logger?.info({ brokers: connection.brokers }, 'Kafka is back')
        failures = 0
        current = opened
        announce()
        await opened.lost
      } catch (error) {
        failures += 1
        if (failures === 1)
          logger?.warn({ err: error, brokers: connection.brokers }, 'Kafka cannot be reached; trying again')
      }
      current = undefined
      if (failures > 0) await pause(clock, pauseMs(failures), closing.signal)
    }
    announce()
  }

  async function open(): Promise<Connected> {
    let lose = () => {}
    const lost = new Promise<void>((resolve) => {
      lose = () => {
        client.sever()
        if (current?.client === client) current = undefined
        resolve()
      }
    })
    // While something is being sent, kafkajs connects again by itself and keeps its sequence.
    const onDisconnected = () => {
      if (!flying) lose()
    }
    const client = openClient({ connection, logger, requestTimeoutMs: DEADLINE_MS, retry: RETRY, onDisconnected })
    const producer = client.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: RETRY,
    })
    try {
      await inTime(clock, CONNECT_MS, producer.connect())
      return { client, producer, lost, lose }
    } catch (error) {
      client.sever()
      throw error
    }
  }

  function announce(): void {
    for (const resolve of arrivals) resolve()
    arrivals = []
  }

  function connected(): Promise<void> {
    if (current || closing.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      arrivals.push(resolve)
    })
  }

  async function close(): Promise<void> {
    if (closing.signal.aborted) return
    closing.abort()
    announce()
    // What was published before goes out, as far as its deadline allows.
    await sending
    for (const entry of queue.splice(0)) entry.settle(new Error('the connection is closed'))
    const last = current
    if (last) await inTime(clock, CLOSE_MS, last.producer.disconnect()).catch(() => {})
    last?.lose()
    await inTime(clock, CLOSE_MS, keepingConnected).catch(() => {})
  }

  return { send, connected, close, isReady: () => current?.client.isConnected() ?? false }
}

const unavailable = (detail: string, cause?: unknown): CountersignError =>
  new CountersignError('bus_unavailable', detail, cause === undefined ? {} : { cause })

/** Messages by topic, in order. */
function messagesOf(batch: readonly Entry[]): TopicMessages[] {
  const byTopic = new Map<string, TopicMessages>()
  for (const { topic, ...message } of batch.flatMap(({ records }) => records)) {
    const known = byTopic.get(topic)
    if (known) known.messages.push(message)
    else byTopic.set(topic, { topic, messages: [message] })
  }
  return [...byTopic.values()]
}

/** In order, and each small enough for one request, unless a single record is larger than that. */
function pieces(records: readonly OutgoingRecord[]): OutgoingRecord[][] {
  const found: OutgoingRecord[][] = []
  let piece: OutgoingRecord[] = []
  let bytes = 0
  for (const record of records) {
    const size = bytesOf([record])
    if (piece.length > 0 && bytes + size > BATCH_BYTES) {
      found.push(piece)
      piece = []
      bytes = 0
    }
    piece.push(record)
    bytes += size
  }
  if (piece.length > 0) found.push(piece)
  return found
}

function bytesOf(records: readonly OutgoingRecord[]): number {
  let bytes = 0
  for (const { key, value, headers } of records) {
    bytes += RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
    for (const [name, text] of Object.entries(headers)) bytes += name.length + (text?.length ?? 0)
  }
  return bytes
}
