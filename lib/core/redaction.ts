import type { Json, JsonObject } from './canonical-json.ts'
import { isSecretName } from './secret-name.ts'
import { isUserAndPassword, secretSpans } from './secret-spans.ts'
import { parseStrictJson } from './strict-json.ts'

export const REDACTED = '[redacted]'

/** What a redacted copy may hold. `left` is what remains of the whole, in characters, and is counted down. */
export interface Bounds {
  string: number
  items: number
  depth: number
  left: number
  /** Set when anything was left out. */
  truncated: boolean
}

const unbounded = (): Bounds => ({
  string: Number.POSITIVE_INFINITY,
  items: Number.POSITIVE_INFINITY,
  depth: 64,
  left: Number.POSITIVE_INFINITY,
  truncated: false,
})

/** How far past a cut the text is still scanned, so that a secret that begins before the cut is seen for what it is. */
const LOOK_AHEAD = 2_048
/** JSON inside strings is parsed up to this length and nesting; longer text is scanned as text. */
const MAX_EMBEDDED = 65_536
const MAX_LEVELS = 5
const MAX_KEY = 200

/** A copy with every secret masked and everything within bounds; what was left out is told in its place. */
export function redacted(value: Json, bounds: Bounds, level = 0): Json {
  if (typeof value === 'string') return redactedString(value, bounds, level)
  if (value === null || typeof value !== 'object') {
    bounds.left -= 6
    return value
  }
  if (bounds.depth <= 0) return leftOut(bounds, '…nested deeper')
  bounds.depth--
  const copy = Array.isArray(value) ? redactedArray(value, bounds, level) : redactedObject(value, bounds, level)
  bounds.depth++
  return copy
}

function leftOut(bounds: Bounds, text: string): string {
  bounds.truncated = true
  return text
}

/** Null and booleans under a secret name tell nothing. */
const masked = (value: Json, bounds: Bounds): Json => {
  bounds.left -= REDACTED.length + 4
  return value === null || typeof value === 'boolean' ? value : REDACTED
}

function redactedArray(items: Json[], bounds: Bounds, level: number): Json[] {
  const copy: Json[] = []
  for (const [index, item] of items.entries()) {
    if (index >= bounds.items || bounds.left <= 0) {
      copy.push(leftOut(bounds, `…${items.length - index} more`))
      break
    }
    bounds.left -= 2
    const hidden = index > 0 && announces(items, index - 1, item)
    copy.push(hidden ? masked(item, bounds) : redacted(item, bounds, level))
  }
  return copy
}

const HEADER = /^(?:(?:proxy-)?authorization|(?:set-)?cookie2?|x-(?:api|auth)-(?:key|token))$/i

/** True when an item names the next one: a flag of a command line, a header of a flat list, a pair. */
function announces(items: Json[], at: number, next: Json): boolean {
  const name = items[at]
  if (typeof name !== 'string' || typeof next !== 'string' || name.length > MAX_KEY) return false
  if (/^--?[A-Za-z][\w.-]*$/.test(name))
    return (
      (isSecretName(name) && !next.startsWith('-')) ||
      (/^(?:-u|--(?:proxy-)?user)$/i.test(name) && isUserAndPassword(next))
    )
  return HEADER.test(name) || (items.length === 2 && !/\s/.test(name) && isSecretName(name))
}

const NAMING = ['name', 'key', 'header', 'field', 'variable', 'parameter', 'param']
const NAMED = new Set(['value', 'values', 'val', 'content', 'data', 'default'])

function redactedObject(object: JsonObject, bounds: Bounds, level: number): JsonObject {
  const isNamed = NAMING.some((key) => {
    const name = Object.hasOwn(object, key) ? object[key] : undefined
    return typeof name === 'string' && isSecretName(name)
  })
  const entries: [string, Json][] = []
  const taken = new Set<string>()
  const keys = Object.keys(object)
  for (const [index, key] of keys.entries()) {
    if (index >= bounds.items || bounds.left <= 0) {
      entries.push([unused('…', taken), leftOut(bounds, `${keys.length - index} more`)])
      break
    }
    const shown = unused(redactedKey(key, bounds), taken)
    bounds.left -= shown.length + 4
    const value = object[key] ?? null
    const hidden = isSecretName(key) || (isNamed && NAMED.has(key.toLowerCase()))
    entries.push([shown, hidden ? masked(value, bounds) : redacted(value, bounds, level)])
  }
  return Object.fromEntries(entries)
}

/** Two keys that look the same once masked stay two. */
function unused(key: string, taken: Set<string>): string {
  let name = key
  for (let number = 2; taken.has(name); number++) name = `${key} (${number})`
  taken.add(name)
  return name
}

const redactedKey = (key: string, bounds: Bounds): string => cutAndMasked(key, Math.min(MAX_KEY, bounds.string), bounds)

function redactedString(text: string, bounds: Bounds, level: number): string {
  const embedded = text.length <= MAX_EMBEDDED && level < MAX_LEVELS ? redactedJson(text, level) : undefined
  // Masked JSON is free of secrets already: what is left is to cut it.
  const limit = Math.min(bounds.string, Math.max(bounds.left, 16))
  const shown = embedded === undefined ? cutAndMasked(text, limit, bounds) : cut(embedded, limit, bounds)
  bounds.left -= shown.length + 2
  return shown
}

/** The masked form of a text that is JSON as a whole, or undefined when it is none or holds no secret. */
function redactedJson(text: string, level: number): string | undefined {
  if (!/^\s*[[{"]/.test(text)) return undefined
  try {
    const value = parseStrictJson(text)
    const copy = redacted(value, unbounded(), level + 1)
    const plain = JSON.stringify(copy)
    return plain === JSON.stringify(value) ? undefined : plain
  } catch {
    return undefined
  }
}

function cutAndMasked(text: string, limit: number, bounds: Bounds): string {
  const isLong = text.length > limit
  const scanned = isLong ? text.slice(0, limit + LOOK_AHEAD) : text
  const end = isLong ? wholeEnd(text, limit) : text.length
  let shown = ''
  let at = 0
  for (const [start, stop] of secretSpans(scanned, scanned.length < text.length)) {
    if (start >= end) break
    shown += text.slice(at, start) + REDACTED
    at = stop
  }
  if (at < end) shown += text.slice(at, end)
  return isLong ? shown + leftOut(bounds, `…${text.length - Math.max(at, end)} characters more`) : shown
}

function cut(text: string, limit: number, bounds: Bounds): string {
  if (text.length <= limit) return text
  const end = wholeEnd(text, limit)
  return text.slice(0, end) + leftOut(bounds, `…${text.length - end} characters more`)
}

/** The cut moves by one rather than through the middle of a character. */
const wholeEnd = (text: string, limit: number): number =>
  /[\ud800-\udbff]/.test(text[limit - 1] ?? '') ? limit - 1 : limit

/** Free text (a reason, a detail) with every secret masked. Lone surrogates become U+FFFD, so that it can be hashed. */
export const redactedText = (text: string): string =>
  redactedString(text, unbounded(), 0).replace(/\p{Surrogate}/gu, '\ufffd')
