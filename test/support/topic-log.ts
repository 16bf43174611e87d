import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { expect, vi } from 'vitest'
import { avroCodec } from '../../lib/adapters/avro/event-codec.ts'
import { textHeaders } from '../../lib/adapters/kafka/message.ts'
import { type DomainEvent, TOPICS } from '../../lib/core/events.ts'

/** A message as it lies on a topic. */
export interface LoggedMessage {
  /** Without the prefix. */
  topic: string
  partition: number
  key: string | null
  value: Buffer | null
  headers: Record<string, string>
  /** Undefined where the bytes are no event. */
  event: DomainEvent | undefined
}

/** The topics of one deployment, as any other Kafka client sees them. */
export interface TopicLog {
  /** All that lies on these topics now, in order within each partition. */
  read(topics?: readonly string[]): Promise<LoggedMessage[]>
  /** Puts these on their partitions, in this order. */
  append(messages: readonly Omit<LoggedMessage, 'event'>[]): Promise<void>
  /** Resolves when the deciders have handled all that lies on their topics. */
  consumed(): Promise<void>
}

const DECIDERS_TOPICS = {
  'countersign.decider': ['approval.requested', 'approval.settled'],
  'countersign.decider.commands': ['approval.decide'],
}
const PATIENCE = { timeout: 20_000, interval: 50 }

export function topicLog(url: string, prefix: string): TopicLog {
  const kafka = new Kafka({ brokers: url.split(','), logLevel: logLevel.NOTHING })
  const codec = avroCodec()

  async function withAdmin<T>(work: (admin: ReturnType<typeof kafka.admin>) => Promise<T>): Promise<T> {
    const admin = kafka.admin()
    await admin.connect()
    try {
      return await work(admin)
    } finally {
      await admin.disconnect()
    }
  }

  // A broker that has just started answers before its partitions have leaders.
  const endsOf = (topic: string) =>
    vi
      .waitFor(() => withAdmin((admin) => admin.fetchTopicOffsets(prefix + topic)), PATIENCE)
      .then((places) =>
        places.map(({ partition, low, high }) => ({ topic, partition, low: Number(low), high: Number(high) })),
      )

  function decoded(topic: string, value: Buffer | null, headers: Record<string, string>): DomainEvent | undefined {
    const known = TOPICS.find((each) => each === topic)
    if (!known) return undefined
    try {
      return codec.decode(known, { value: value ?? new Uint8Array(), headers })
    } catch {
      return undefined
    }
  }

  return {
    async read(topics = TOPICS) {
      const places = (await Promise.all(topics.map(endsOf))).flat()
      const left = new Map(
        places.filter(({ low, high }) => low < high).map((at) => [`${at.topic}/${at.partition}`, at.high]),
      )
      const found: LoggedMessage[] = []
      if (left.size === 0) return found
      const consumer = kafka.consumer({ groupId: `${prefix}log.${randomUUID()}`, maxWaitTimeInMs: 50 })
      await consumer.connect()
      try {
        await consumer.subscribe({ topics: topics.map((topic) => prefix + topic), fromBeginning: true })
        await new Promise<void>((resolve, reject) => {
          consumer.on(consumer.events.CRASH, ({ payload }) => {
            if (!payload.restart) reject(payload.error)
          })
          const running = consumer.run({
            autoCommit: false,
            eachBatch: async ({ batch }) => {
              const topic = batch.topic.slice(prefix.length)
              const { partition } = batch
              const place = `${topic}/${partition}`
              const end = left.get(place)
              if (end === undefined) return
              for (const { key, value, headers: raw = {}, offset } of batch.messages) {
                if (Number(offset) >= end) break
                const headers = textHeaders(raw)
                const event = decoded(topic, value, headers)
                found.push({ topic, partition, key: key?.toString() ?? null, value, headers, event })
              }
              if (Number(batch.lastOffset()) + 1 >= end) left.delete(place)
              if (left.size === 0) resolve()
            },
          })
          running.catch(reject)
        })
      } finally {
        await consumer.disconnect()
      }
      return found
    },
    async append(messages) {
      const producer = kafka.producer({ allowAutoTopicCreation: false })
      await producer.connect()
      try {
        for (const { topic, ...message } of messages)
          await producer.send({ topic: prefix + topic, messages: [message] })
      } finally {
        await producer.disconnect()
      }
    },
    async consumed() {
      for (const [group, names] of Object.entries(DECIDERS_TOPICS)) {
        const ends = (await Promise.all(names.map(endsOf))).flat()
        const topics = names.map((topic) => prefix + topic)
        await withAdmin((admin) =>
          vi.waitFor(async () => {
            const offsets = await admin.fetchOffsets({ groupId: prefix + group, topics })
            const behind = ends.filter(({ topic, partition, low, high }) => {
              const known = offsets
                .find((of) => of.topic === prefix + topic)
                ?.partitions.find((of) => of.partition === partition)
              return Math.max(low, Number(known?.offset ?? -1)) < high
            })
            expect(behind).toEqual([])
          }, PATIENCE),
        )
      }
    },
  }
}
