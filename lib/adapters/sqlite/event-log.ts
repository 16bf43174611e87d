import type { EncodedEvent } from '../../ports/event-codec.ts'
import type { Database } from './database.ts'

/** A row of the log. `topic` is a Topic, or one with `.dlq` behind it. */
export interface LogRow extends EncodedEvent {
  seq: number
  topic: string
  key: string
  eventId: string
  /** When the event happened, in milliseconds since the epoch. */
  at: number
}

/** Why, and for whom, an event was set aside. */
export interface DeadLetterHeaders {
  dlq_cause: string
  /** The group. */
  dlq_consumer: string
  dlq_offset: string
}

/** The SQL of the log. What writes must run inside a transaction. */
export interface EventLog {
  append(row: Omit<LogRow, 'seq'>): number
  /** Copies an event to the topic's dead letters. */
  deadLetter(seq: number, headers: DeadLetterHeaders): void
  /** The highest seq ever given; it never falls, whatever is pruned. */
  head(): number
  /** The seq before the oldest row that is left. */
  tail(): number
  /** The rows of these topics in (after, upTo], in order. */
  read(topics: readonly string[], after: number, upTo: number): LogRow[]
  /** The seq from which on `count` rows of these topics follow, up to `head`. */
  rewind(topics: readonly string[], head: number, count: number): number
  offsetOf(group: string, topic: string): number | undefined
  saveOffset(group: string, topic: string, seq: number): void
  /** Deletes at most `limit` of the oldest rows that every group has passed and that are older than `before`. */
  prune(before: number, limit: number): number
}

export const SELECT_LOG = 'SELECT seq, topic, key, event_id AS eventId, at, value, headers FROM log'

export function createEventLog(db: Database): EventLog {
  const append = db.prepare('INSERT INTO log (topic, key, event_id, at, value, headers) VALUES (?, ?, ?, ?, ?, ?)')
  const deadLetter = db.prepare(
    `INSERT INTO log (topic, key, event_id, at, value, headers)
     SELECT topic || '.dlq', key, event_id, at, value, json_patch(headers, ?) FROM log WHERE seq = ?`,
  )
  const head = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'log'")
  const oldest = db.prepare('SELECT min(seq) AS seq FROM log')
  // A window of seqs bounds the work of a read even where few rows are of these topics.
  const read = db.prepare(
    `${SELECT_LOG} WHERE seq > ? AND seq <= ? AND topic IN (SELECT value FROM json_each(?)) ORDER BY seq`,
  )
  const rewind = db.prepare(
    `SELECT seq FROM log WHERE seq <= ? AND topic IN (SELECT value FROM json_each(?))
     ORDER BY seq DESC LIMIT 1 OFFSET ?`,
  )
  const offset = db.prepare('SELECT seq FROM group_offsets WHERE name = ? AND topic = ?')
  const saveOffset = db.prepare(
    `INSERT INTO group_offsets (name, topic, seq) VALUES (?, ?, ?)
     ON CONFLICT (name, topic) DO UPDATE SET seq = max(seq, excluded.seq)`,
  )
  const prune = db.prepare(
    `DELETE FROM log WHERE seq IN (
       SELECT seq FROM log
       WHERE seq <= coalesce((SELECT min(seq) FROM group_offsets), 9e18)
         AND seq < coalesce((SELECT seq FROM log WHERE at >= ? ORDER BY seq LIMIT 1), 9e18)
       ORDER BY seq LIMIT ?)`,
  )

  const headSeq = (): number => head.get()?.seq ?? 0
  const tailSeq = (): number => {
    const { seq } = oldest.get()
    return seq === null ? headSeq() : seq - 1
  }

  return {
    append: ({ topic, key, eventId, at, value, headers }) =>
      Number(append.run(topic, key, eventId, at, value, JSON.stringify(headers)).lastInsertRowid),
    deadLetter: (seq, headers) => {
      deadLetter.run(JSON.stringify(headers), seq)
    },
    head: headSeq,
    tail: tailSeq,
    read: (topics, after, upTo) => read.all(after, upTo, JSON.stringify(topics)).map(logRow),
    rewind: (topics, upTo, count) => {
      if (count <= 0) return upTo
      const row = rewind.get(upTo, JSON.stringify(topics), count - 1)
      return row ? row.seq - 1 : tailSeq()
    },
    offsetOf: (group, topic) => offset.get(group, topic)?.seq,
    saveOffset: (group, topic, seq) => {
      saveOffset.run(group, topic, seq)
    },
    prune: (before, limit) => Number(prune.run(before, limit).changes),
  }
}

type RawRow = Omit<LogRow, 'headers'> & { headers: string }

export const logRow = (row: RawRow): LogRow => ({ ...row, headers: JSON.parse(row.headers) })
