import type { Admin } from 'kafkajs'
import { TOPICS, type Topic } from '../../core/events.ts'
import type { Clock } from '../../ports/clock.ts'
import { protocolErrorOf } from './kafka-error.ts'

/** How topics are made that are not there yet. */
export interface TopicPlan {
  partitions: number
  replicationFactor: number
  /** How long Kafka keeps events. */
  retentionMs: number
}

/** The cluster lacks topics, and they may not be created. */
export class MissingTopicsError extends Error {
  readonly missing: readonly string[]
  constructor(missing: readonly string[], why: string, options?: ErrorOptions) {
    super(`Kafka has no ${missing.length === 1 ? 'topic' : 'topics'} ${missing.join(', ')}, and ${why}`, options)
    this.name = 'MissingTopicsError'
    this.missing = missing
  }
}

/** Topics as this deployment names them in Kafka. */
export interface TopicNames {
  kafkaName(topic: Topic): string
  deadLetters(topic: Topic): string
  topicOf(kafkaName: string): Topic
  /** A partition as deliveries name it, `<topic>/<number>`, and back. */
  partitionOf(place: { topic: string; partition: number }): string
  placeOf(partition: string): { topic: string; partition: number }
}

/** Dead letters wait for a person. */
const DEAD_LETTER_RETENTION_MS = 90 * 24 * 3_600_000

const NOT_KNOWN_YET = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'])
const ASK_EVERY_MS = 50

/** Groups have a name space of their own, for access rules. */
export const groupPrefixOf = (topicPrefix = ''): string => `${topicPrefix}countersign.`

export function topicNames(prefix = ''): TopicNames {
  const topics = new Map<string, Topic>(TOPICS.map((topic) => [prefix + topic, topic]))
  const topicOf = (kafkaName: string) => {
    const topic = topics.get(kafkaName)
    if (!topic) throw new TypeError(`${kafkaName} is no topic of ours`)
    return topic
  }
  return {
    kafkaName: (topic) => prefix + topic,
    deadLetters: (topic) => `${prefix}${topic}.dlq`,
    topicOf,
    partitionOf: ({ topic, partition }) => `${topicOf(topic)}/${partition}`,
    placeOf: (name) => {
      const [topic, number] = name.split('/')
      return { topic: prefix + topic, partition: Number(number) }
    },
  }
}

/** Creates what is missing, or rejects with MissingTopicsError when there is no `plan` or it is not allowed. */
export async function ensureTopics(
  deps: { admin: Admin; clock: Clock },
  names: TopicNames,
  plan: TopicPlan | undefined,
): Promise<void> {
  const { admin, clock } = deps
  const existing = new Set(await admin.listTopics())
  const isMissing = (name: string) => !existing.has(name)
  const events = TOPICS.map(names.kafkaName).filter(isMissing)
  const deadLetters = TOPICS.map(names.deadLetters).filter(isMissing)
  const missing = [...events, ...deadLetters]
  if (missing.length === 0) return
  if (!plan) throw new MissingTopicsError(missing, 'creating topics is not allowed')
  const { partitions, replicationFactor, retentionMs } = plan
  const topicOf = (numPartitions: number, retention: number) => (topic: string) => ({
    topic,
    numPartitions,
    replicationFactor,
    configEntries: [
      { name: 'cleanup.policy', value: 'delete' },
      { name: 'retention.ms', value: String(retention) },
      // With acks=all: what was acknowledged survives the loss of one broker, and one may be away.
      { name: 'min.insync.replicas', value: replicationFactor > 2 ? '2' : '1' },
    ],
  })
  const topics = [
    ...events.map(topicOf(partitions, retentionMs)),
    ...deadLetters.map(topicOf(1, DEAD_LETTER_RETENTION_MS)),
  ]
  try {
    // False when somebody else creates them at the same time, which is as good.
    await admin.createTopics({ topics, waitForLeaders: false })
  } catch (error) {
    const refusal = protocolErrorOf(error)
    if (!refusal) throw error
    throw new MissingTopicsError(missing, `they cannot be created: ${refusal.message}`, { cause: error })
  }
  await untilKnown({ admin, clock }, missing)
}

/**
 * The controller creates a topic, and the brokers hear of it and of its leaders a moment later. KafkaJS's own wait for
 * leaders takes a broker that has not heard yet for a refusal.
 */
async function untilKnown({ admin, clock }: { admin: Admin; clock: Clock }, topics: string[]): Promise<void> {
  for (;;) {
    try {
      await admin.fetchTopicMetadata({ topics })
      return
    } catch (error) {
      if (!NOT_KNOWN_YET.has(protocolErrorOf(error)?.type ?? '')) throw error
      await new Promise<void>((resolve) => {
        clock.after(ASK_EVERY_MS, resolve)
      })
    }
  }
}

/** Offsets of one partition: that of the oldest message, and that of the next one. */
export interface Extent {
  topic: string
  partition: number
  low: number
  end: number
}

/** How far each partition of these topics reaches. */
export async function extentsOf(admin: Admin, topics: readonly string[]): Promise<Extent[]> {
  const found = await Promise.all(
    topics.map(async (topic) => {
      const partitions = await admin.fetchTopicOffsets(topic)
      return partitions.map(({ partition, low, high }) => ({
        topic,
        partition,
        low: Number(low),
        end: Number(high),
      }))
    }),
  )
  return found.flat()
}

/**
 * Where to begin so that `count` messages in all come again: shared evenly, and what a short partition lacks the others
 * give.
 */
export function rewound(extents: readonly Extent[], count: number): Map<Extent, number> {
  const starts = new Map<Extent, number>()
  const byLength = [...extents].sort((a, b) => a.end - a.low - (b.end - b.low))
  let left = count
  for (const [index, extent] of byLength.entries()) {
    const share = Math.min(extent.end - extent.low, Math.ceil(left / (byLength.length - index)))
    starts.set(extent, extent.end - share)
    left -= share
  }
  return starts
}
