import type { Actor } from './actor.ts'
import { canonicalJson, sha256Hex } from './canonical-json.ts'
import type { DecisionWord, SettleOutcome } from './events.ts'

/** What happened to a record, in order. `returned` is a claim given back because nothing was executed. */
export type HistoryEvent =
  | { type: 'requested'; requestHash: string }
  /** The same call came again, and named a callback where there was none. The hash is of its URL. */
  | { type: 'joined'; callbackHash: string }
  | { type: 'voted'; decision: DecisionWord; reason: string | null; meets: string[] }
  | { type: 'approved'; decision: 'approve'; reason: string | null; meets: string[]; editsHash: string | null }
  | { type: 'denied'; decision: 'deny'; reason: string | null; meets: string[] }
  | { type: 'warned'; expiresAt: number }
  | { type: 'escalated'; step: number; added: string[]; channels: string[]; expiresAt: number }
  | { type: 'expired' }
  | { type: 'cancelled'; reason: string | null }
  | { type: 'claimed'; holder: string; gate: string; key: string | null; use: number }
  | {
      type: 'returned' | 'settled'
      use: number
      outcome: SettleOutcome
      status: number | null
      detail: string | null
      gate: string
    }
export type HistoryEntry = HistoryEvent & {
  seq: number
  at: number
  by: Actor
  /** Hash of the entry before; empty for the first. */
  prev: string
  /** SHA-256 of the canonical JSON of this entry without `hash`. */
  hash: string
}

const GENESIS = ''

export const entryHash = (entry: Omit<HistoryEntry, 'hash'>): string => sha256Hex(canonicalJson(entry))

/** A new history with one entry more, chained to the last. */
export function appendHistory(
  history: readonly HistoryEntry[],
  event: HistoryEvent,
  by: Actor,
  at: number,
): HistoryEntry[] {
  const prev = history.at(-1)?.hash ?? GENESIS
  const unsigned = {
    seq: history.length + 1,
    at,
    by: { id: by.id, name: by.name, type: by.type, via: by.via },
    prev,
    ...event,
  }
  return [...history, { hash: entryHash(unsigned), ...unsigned }]
}

/** The first entry whose hash or link is wrong (its seq), or undefined when the chain holds. */
export function brokenLink(history: readonly HistoryEntry[]): number | undefined {
  let prev = GENESIS
  for (const [index, { hash, ...unsigned }] of history.entries()) {
    if (unsigned.seq !== index + 1 || unsigned.prev !== prev || entryHash(unsigned) !== hash) return index + 1
    prev = hash
  }
  return undefined
}
