import type { Position } from '../../../lib/ports/bus.ts'

/** How far a client has seen: the last offset of each partition. On the wire it is opaque text. */
export type Cursor = ReadonlyMap<string, number>

export const advance = (cursor: Cursor, { partition, offset }: Position): Cursor =>
  new Map(cursor).set(partition, Math.max(offset, cursor.get(partition) ?? offset))

export const hasSeen = (cursor: Cursor, { partition, offset }: Position): boolean =>
  offset <= (cursor.get(partition) ?? Number.NEGATIVE_INFINITY)

export const encodeCursor = (cursor: Cursor): string =>
  Buffer.from(JSON.stringify(Object.fromEntries(cursor))).toString('base64url')

/** Undefined when the text is no cursor. */
export function decodeCursor(text: string): Cursor | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
    const entries = Object.entries(parsed)
    if (!entries.every(([, offset]) => Number.isSafeInteger(offset))) return undefined
    return new Map(entries)
  } catch {
    return undefined
  }
}
