import type { Delivery } from '../../ports/bus.ts'

/** A row of the log that can be decoded. */
export interface DecodableRow {
  seq: number
  topic: string
  /** Throws when the bytes are no event of this topic. */
  decode(): Delivery
}

/**
 * The newest rows, in memory: subscriptions that keep up read them from here, each decoded once for all of them.
 * The log on disk stays the truth; what is missing here is read there.
 */
export interface LogTail {
  add(row: DecodableRow): void
  /** The rows of these topics in (after, upTo], or undefined when not all rows in between are here. */
  read(topics: readonly string[], after: number, upTo: number): DecodableRow[] | undefined
}

export function createLogTail(size: number): LogTail {
  const rows = new Map<number, DecodableRow>()

  return {
    add(row) {
      rows.set(row.seq, row)
      for (const oldest of rows.keys()) {
        if (rows.size <= size) break
        rows.delete(oldest)
      }
    },
    read(topics, after, upTo) {
      const found: DecodableRow[] = []
      for (let seq = after + 1; seq <= upTo; seq++) {
        const row = rows.get(seq)
        if (!row) return undefined
        if (topics.includes(row.topic)) found.push(row)
      }
      return found
    },
  }
}
