import { type DomainEvent, TOPICS, type Topic } from '../../core/events.ts'
import type { EventCodec } from '../../ports/event-codec.ts'
import type { Database } from './database.ts'
import { type LogRow, logRow, SELECT_LOG } from './event-log.ts'
import { reasonOf } from './storage-error.ts'

/** A row of the log as a person reads it: the event, or why it cannot be decoded. */
export interface LogEntry extends Omit<LogRow, 'value'> {
  event: (DomainEvent & { source: string }) | null
  error: string | null
}

export interface LogQuery {
  /** Entries behind this seq; 0 begins at the oldest. */
  after: number
  limit: number
  /** Topics, also `<topic>.dlq`; all where left out. */
  topics?: readonly string[]
}

/** Entries in order. Reads a database of MAIN_SCHEMA, also a read-only one beside the process that writes it. */
export function readLog({ db, codec }: { db: Database; codec: EventCodec }, query: LogQuery): LogEntry[] {
  const { after, limit, topics } = query
  const rows = topics
    ? db
        .prepare(`${SELECT_LOG} WHERE seq > ? AND topic IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`)
        .all(after, JSON.stringify(topics), limit)
    : db.prepare(`${SELECT_LOG} WHERE seq > ? ORDER BY seq LIMIT ?`).all(after, limit)
  return rows.map(logRow).map((row) => entryOf(row, codec))
}

/** The seq of the newest entry, or 0. */
export const headOfLog = (db: Database): number => db.prepare('SELECT max(seq) AS seq FROM log').get()?.seq ?? 0

function entryOf({ value, ...rest }: LogRow, codec: EventCodec): LogEntry {
  try {
    const event = codec.decode(topicOf(rest.topic), { value, headers: rest.headers })
    return { ...rest, event, error: null }
  } catch (error) {
    return { ...rest, event: null, error: reasonOf(error) }
  }
}

function topicOf(name: string): Topic {
  const topic = TOPICS.find((each) => name === each || name === `${each}.dlq`)
  if (!topic) throw new TypeError(`${name} is no topic of this version`)
  return topic
}
