import type { Admin } from 'kafkajs'
import { CountersignError } from '../../core/errors.ts'
import type { DomainEvent, Topic } from '../../core/events.ts'
import type { Bus, Handler, Subscription } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EventCodec } from '../../ports/event-codec.ts'
import { unreachable, withAdmin } from './admin.ts'
import { createBroadcast } from './broadcast.ts'
import type { KafkaConnection, KafkaLogger } from './client.ts'
import { deadLetterOf } from './dead-letter.ts'
import { createIntake } from './intake.ts'
import type { Received } from './message.ts'
import { createPublisher } from './publisher.ts'
import { inTime, pause, pauseMs } from './retry.ts'
import { createSharedGroup } from './shared-group.ts'
import { type ConsumerHooks, type SupervisedConsumer, superviseConsumer } from './supervised-consumer.ts'
import { ensureTopics, extentsOf, groupPrefixOf, rewound, type TopicPlan, topicNames } from './topics.ts'

export interface KafkaBusOptions extends KafkaConnection {
  codec: EventCodec
  clock: Clock
  logger?: KafkaLogger
  /** `ce_source` of what is published here. */
  source: string
  /** Put before the names of topics and groups, so that several deployments can share a cluster. Default: nothing. */
  topicPrefix?: string
  /** How missing topics are made; left out: they may not be made. */
  createTopics?: TopicPlan
  /** How long Kafka waits for a sign of life of a member before others get its partitions. Default 10 s. */
  sessionTimeoutMs?: number
}

const START_MS = 5_000
const SESSION_TIMEOUT_MS = 10_000

/**
 * A bus over Kafka. Rejects with `bus_unavailable` when Kafka cannot be reached, and with MissingTopicsError when topics
 * are missing and cannot be made.
 */
export async function createKafkaBus(options: KafkaBusOptions): Promise<Bus> {
  const { codec, clock, logger, source, sessionTimeoutMs = SESSION_TIMEOUT_MS, createTopics } = options
  const { brokers, clientId, ssl = false, sasl } = options
  const connection: KafkaConnection = { brokers, clientId, ssl, ...(sasl ? { sasl } : {}) }
  const names = topicNames(options.topicPrefix)
  const groupPrefix = groupPrefixOf(options.topicPrefix)
  const closing = new AbortController()
  const closed = new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve()))
  const consumers = new Set<SupervisedConsumer>()
  const subscriptions = new Set<Subscription>()

  const admin = <T>(work: (admin: Admin) => Promise<T>) => withAdmin({ connection, clock, logger }, work)
  await admin((each) => ensureTopics({ admin: each, clock }, names, createTopics))
  const publisher = createPublisher({ connection, clock, logger })
  try {
    await inTime(clock, START_MS, publisher.connected())
  } catch (error) {
    await publisher.close()
    throw unreachable(connection, error)
  }

  async function publish(events: readonly DomainEvent[]): Promise<void> {
    refuseClosed()
    await publisher.send(
      events.map((event) => {
        const { value, headers } = codec.encode(event, source)
        return { topic: names.kafkaName(event.topic), key: event.data.id, value: Buffer.from(value), headers }
      }),
    )
  }

  async function subscribe(options: Parameters<Bus['subscribe']>[0]): Promise<Subscription> {
    const { group, topics, handler, unreadable } = options
    refuseClosed()
    const failed = (error: unknown) =>
      logger?.warn({ err: error, group }, 'offsets could not be committed; what they cover may come again')
    const shared = createSharedGroup({ groupId: groupPrefix + group, names, clock, failed })
    const setAside = async (messages: readonly Received[], cause: unknown) => {
      tellSetAside(messages, cause, group, 'messages that cannot be handled went to the dead letters')
      await publisher.send(
        messages.map((each) => ({ ...deadLetterOf(each, cause, group), topic: names.deadLetters(each.topic) })),
      )
    }
    const leaveOut = unreadable === 'leaveOut' ? skip(group) : undefined
    return open({ consumer: group, topics, handler, setAside, leaveOut, hooks: shared.hooks, ready: shared.joined })
  }

  async function broadcast(options: Parameters<Bus['broadcast']>[0]): Promise<Subscription> {
    const { topics, handler, rewind = 0, onGap = () => {} } = options
    refuseClosed()
    const extents = await untilItWorks(() => admin((each) => extentsOf(each, topics.map(names.kafkaName))))
    const starts = rewound(extents, rewind)
    const { hooks, caughtUp } = createBroadcast({
      names,
      starts: new Map([...starts].map(([extent, start]) => [names.partitionOf(extent), start])),
      ends: new Map(extents.map((extent) => [names.partitionOf(extent), extent.end])),
      groupPrefix,
      onGap,
      // One that is left behind goes by itself: Kafka forgets empty groups that have no offsets.
      dropGroup: (groupId) =>
        admin((each) => each.deleteGroups([groupId])).then(
          () => {},
          (error: unknown) => logger?.debug({ err: error, groupId }, 'the group of a broadcast was left behind'),
        ),
    })
    // Everybody hears it, and a dead letter from each would be one too many: a group that shares the work sends it.
    const setAside = skip('broadcast')
    return open({ consumer: 'broadcast', topics, handler, setAside, hooks, ready: caughtUp })
  }

  const skip = (consumer: string) => async (messages: readonly Received[], cause: unknown) =>
    tellSetAside(messages, cause, consumer, 'messages that cannot be handled were skipped')

  async function open(of: {
    consumer: string
    topics: readonly Topic[]
    handler: Handler
    setAside(messages: readonly Received[], cause: unknown): Promise<void>
    leaveOut?: ((messages: readonly Received[], cause: unknown) => Promise<void>) | undefined
    hooks: ConsumerHooks
    ready: Promise<void>
  }): Promise<Subscription> {
    const { topics, hooks, setAside, leaveOut } = of
    const failed = (error: unknown, messages: readonly Received[]) =>
      logger?.warn(
        { err: error, consumer: of.consumer, messages: messages.length, first: messages[0] && placeOf(messages[0]) },
        'a batch of events could not be handled; trying again',
      )
    const intake = createIntake({ handler: of.handler, codec, setAside, leaveOut, failed })
    const consumer = superviseConsumer({ connection, clock, logger, names, topics, sessionTimeoutMs, intake, hooks })
    consumers.add(consumer)
    let stopped: Promise<void> | undefined
    const subscription = {
      close: () => {
        stopped ??= consumer.close().finally(() => {
          consumers.delete(consumer)
          subscriptions.delete(subscription)
        })
        return stopped
      },
    }
    subscriptions.add(subscription)
    await Promise.race([of.ready, closed])
    if (closing.signal.aborted) {
      await subscription.close()
      refuseClosed()
    }
    return subscription
  }

  async function untilItWorks<T>(work: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await work()
      } catch (error) {
        logger?.debug({ err: error }, 'Kafka did not answer; trying again')
        await pause(clock, pauseMs(failures), closing.signal)
        refuseClosed()
      }
    }
  }

  function tellSetAside(messages: readonly Received[], cause: unknown, consumer: string, message: string): void {
    logger?.warn({ err: cause, consumer, messages: messages.map(placeOf) }, message)
  }

  function refuseClosed(): void {
    if (closing.signal.aborted) throw new CountersignError('bus_unavailable', 'The connection to Kafka is closed.')
  }

  async function close(): Promise<void> {
    closing.abort()
    await Promise.all([...subscriptions].map((each) => each.close()))
    await publisher.close()
  }

  return {
    publish,
    subscribe,
    broadcast,
    close,
    isReady: () => !closing.signal.aborted && publisher.isReady() && [...consumers].every((each) => each.isLive()),
  }
}

const placeOf = ({ partition, offset }: Received): string => `${partition}@${offset}`
