import { CountersignError } from '../../core/errors.ts'
import type { DomainEvent, Topic } from '../../core/events.ts'
import type { Bus, Delivery, Handler, Subscription } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EventCodec } from '../../ports/event-codec.ts'
import { type Consumer, createConsumer } from './consumer.ts'
import { type ConsumerGroup, createConsumerGroup } from './consumer-group.ts'
import type { Database } from './database.ts'
import { createEventLog, type LogRow } from './event-log.ts'
import type { GroupCommit } from './group-commit.ts'
import { createLogReader, type LogReader } from './log-reader.ts'
import { createLogTail, type DecodableRow } from './log-tail.ts'
import { createOffsetKeeper } from './offset-keeper.ts'
import { reasonOf } from './storage-error.ts'

/** Where the bus says what it could not do; a pino logger fits. */
export interface BusLogger {
  warn(details: Record<string, unknown>, message: string): void
}

export interface LogBusDeps {
  /** A database of MAIN_SCHEMA, and its group commit. */
  db: Database
  groupCommit: GroupCommit
  codec: EventCodec
  clock: Clock
  logger?: BusLogger
  /** `ce_source` of what is published here. */
  source: string
}

export interface LogBus extends Bus {
  /** Deletes events that happened before `before` (ms) and that every group has passed; resolves with how many. */
  prune(before: number): Promise<number>
}

/** Rows that one read looks at, and so the most that a batch holds. */
const BATCH = 500
/** Rows kept in memory for subscriptions that keep up. */
const TAIL = 1_000
const PRUNE_BATCH = 2_000
/** How long after a failed write the bus calls itself away, before it may be tried again. */
const AWAY_MS = 1_000
const LONGEST_CAUSE = 1_000
const BROADCAST = 'broadcast'

/**
 * A bus in one process over a durable log on disk. One for each database: its own publishes wake its subscriptions.
 * Nothing interrupts delivery, so `onGap` is never called. `close` leaves the database open: it belongs to its opener.
 */
export function createLogBus({ db, groupCommit, codec, clock, logger, source }: LogBusDeps): LogBus {
  const log = createEventLog(db)
  const tail = createLogTail(TAIL)
  const readers = new Set<LogReader>()
  const subscriptions = new Set<Subscription>()
  const groups = new Map<string, { members: ConsumerGroup; reader: LogReader }>()
  const offsets = createOffsetKeeper({
    log,
    groupCommit,
    clock,
    failed: (error) => logger?.warn({ err: error }, 'offsets could not be saved; what they cover may come again'),
  })
  let head = log.head()
  let waking = false
  let closed = false
  let awayUntil = Number.NEGATIVE_INFINITY

  async function write<T>(operation: () => T): Promise<T> {
    try {
      return await groupCommit.run(operation)
    } catch (error) {
      awayUntil = clock.now() + AWAY_MS
      throw new CountersignError('bus_unavailable', 'The event log cannot be written.', { cause: error })
    }
  }

  async function publish(events: readonly DomainEvent[]): Promise<void> {
    refuseClosed()
    if (events.length === 0) return
    const rows = events.map((event) => {
      const { topic, eventId, at, data } = event
      return { topic, key: data.id, eventId, at, ...codec.encode(event, source) }
    })
    const seqs = await write(() => rows.map(log.append))
    for (const [index, row] of rows.entries()) tail.add(decodable({ ...row, seq: seqs[index]! }))
    head = Math.max(head, seqs.at(-1)!)
    wakeReaders()
  }

  /** The publishes of one transaction all resolve before this microtask runs: one wake for all of them. */
  function wakeReaders(): void {
    if (waking) return
    waking = true
    queueMicrotask(() => {
      waking = false
      for (const reader of readers) reader.wake()
    })
  }

  function decodable(row: LogRow): DecodableRow {
    const { seq, topic } = row
    let decoded: Delivery | undefined
    const decode = () => {
      decoded ??= { ...codec.decode(topic as Topic, row), position: { partition: 'log', offset: seq } }
      return decoded
    }
    return { seq, topic, decode }
  }

  function skip(consumer: string, offsets: readonly number[], cause: unknown): void {
    logger?.warn({ err: cause, consumer, offsets }, 'events that cannot be handled were skipped')
  }

  /** Everybody hears a broadcast, and a dead letter from each would be one too many: a group sends it. */
  async function setAside(consumer: string, seqs: readonly number[], cause: unknown): Promise<void> {
    if (consumer === BROADCAST) return skip(consumer, seqs, cause)
    logger?.warn({ err: cause, consumer, offsets: seqs }, 'events that cannot be handled went to the dead letters')
    const headers = { dlq_cause: reasonOf(cause).slice(0, LONGEST_CAUSE), dlq_consumer: consumer }
    await write(() => {
      for (const seq of seqs) log.deadLetter(seq, { ...headers, dlq_offset: String(seq) })
    })
  }

  interface ReaderOptions {
    consumer: string
    topics: readonly Topic[]
    leavesOut?: boolean
    position: number
    isWanted(row: DecodableRow): boolean
    handle(batch: Delivery[]): Promise<boolean>
    moved(position: number): void
  }

  function openReader({ consumer, topics, leavesOut = false, isWanted, ...options }: ReaderOptions): LogReader {
    async function read(position: number) {
      const end = Math.min(head, position + BATCH)
      const batch: Delivery[] = []
      const rows = tail.read(topics, position, end) ?? log.read(topics, position, end).map(decodable)
      for (const row of rows.filter(isWanted)) {
        try {
          batch.push(row.decode())
        } catch (error) {
          if (leavesOut) skip(consumer, [row.seq], error)
          else await setAside(consumer, [row.seq], error)
        }
      }
      return { batch, end }
    }
    const failed = (error: unknown) =>
      logger?.warn({ err: error, consumer, topics }, 'the log could not be read; trying again')
    const reader = createLogReader({ ...options, clock, head: () => head, read, failed })
    readers.add(reader)
    return reader
  }

  async function closeReader(reader: LogReader): Promise<void> {
    await reader.close()
    readers.delete(reader)
  }

  const consumerFor = (consumer: string, handler: Handler): Consumer =>
    createConsumer({
      clock,
      handler,
      deadLetter: (deliveries, cause) =>
        setAside(
          consumer,
          deliveries.map(({ position }) => position.offset),
          cause,
        ),
      failed: (error, batch) =>
        logger?.warn(
          { err: error, consumer, events: batch.length, first: batch[0]?.eventId },
          'a batch of events could not be handled; trying again',
        ),
    })

  function subscription(stop: () => Promise<void>): Subscription {
    let stopped: Promise<void> | undefined
    const made = {
      close: () => {
        stopped ??= stop().finally(() => subscriptions.delete(made))
        return stopped
      },
    }
    subscriptions.add(made)
    return made
  }

  async function subscribe(options: Parameters<Bus['subscribe']>[0]): Promise<Subscription> {
    const { group, topics, handler } = options
    refuseClosed()
    const name = JSON.stringify([group, ...[...topics].sort()])
    const handled = await write(() => offsets.begin(group, topics))
    refuseClosed()
    const consumer = consumerFor(group, handler)
    const { members, reader } = groups.get(name) ?? openGroup(name, options, handled)
    members.add(consumer)
    reader.wake()
    return subscription(async () => {
      members.remove(consumer)
      const isLast = members.isEmpty()
      if (isLast) groups.delete(name)
      await consumer.close()
      if (!isLast) return
      await closeReader(reader)
      await offsets.save()
    })
  }

  function openGroup(name: string, of: Parameters<Bus['subscribe']>[0], handled: Map<string, number>) {
    const { group, topics, unreadable } = of
    const members = createConsumerGroup()
    const reader = openReader({
      consumer: group,
      topics,
      leavesOut: unreadable === 'leaveOut',
      position: Math.min(...handled.values()),
      isWanted: ({ topic, seq }) => seq > handled.get(topic)!,
      handle: members.deliver,
      moved: (seq) => offsets.moved(group, topics, seq),
    })
    const opened = { members, reader }
    groups.set(name, opened)
    return opened
  }

  async function broadcast({ topics, handler, rewind = 0 }: Parameters<Bus['broadcast']>[0]): Promise<Subscription> {
    refuseClosed()
    const consumer = consumerFor(BROADCAST, handler)
    const start = log.rewind(topics, head, rewind)
    const end = head
    let caughtUp = () => {}
    const rewound = new Promise<void>((resolve) => {
      caughtUp = resolve
    })
    const reader = openReader({
      consumer: BROADCAST,
      topics,
      position: start,
      isWanted: () => true,
      handle: async (batch) => (await consumer.deliver(batch)).length === 0,
      moved: (position) => {
        if (position >= end) caughtUp()
      },
    })
    reader.wake()
    if (start < end) await rewound
    return subscription(async () => {
      await consumer.close()
      await closeReader(reader)
    })
  }

  async function prune(before: number): Promise<number> {
    let pruned = 0
    for (;;) {
      const deleted = await write(() => log.prune(before, PRUNE_BATCH))
      pruned += deleted
      if (deleted < PRUNE_BATCH) return pruned
    }
  }

  async function close(): Promise<void> {
    closed = true
    await Promise.all([...subscriptions].map((each) => each.close()))
    await groupCommit.settled()
  }

  function refuseClosed(): void {
    if (closed) throw new CountersignError('bus_unavailable', 'The event log is closed.')
  }

  return { publish, subscribe, broadcast, prune, close, isReady: () => !closed && clock.now() >= awayUntil }
}
