import type { IncomingMessage } from 'node:http'
import { CONNECTION_HEADERS, foldHeader } from '../../../lib/core/header-name.ts'
import { addValue } from '../../../lib/core/value-lists.ts'
import { SESSION_COOKIE } from '../../../lib/runtime/access.ts'

/** Names and values in turn, as they came and in their order. */
export type HeaderList = string[]

const OURS = 'countersign-'

/** Say how long the body is, or whose the call is: not to be said a second time in another spelling. */
const ONE_SPELLING = new Set([
  'authorization',
  'content-length',
  'content-encoding',
  'content-type',
  'cookie',
  'x-api-key',
])

/** What a `Connection` header names is of the connection too. */
const namedBy = (connection: string): string[] => connection.split(',').map((name) => name.trim().toLowerCase())

/** The headers of a call that its upstream gets. */
export interface ForwardedHeaders {
  list: HeaderList
  /** Names in lower case, every value of each. */
  values: Record<string, string[]>
}

/**
 * Those of a call that its upstream gets: without those of the connection, what speaks to the gate alone, whatever holds
 * the agent's secret, and those in whose place the gate sets its own (`replaced`, as `foldHeader` spells them).
 */
export function headersToForward(
  { rawHeaders, headers: { connection } }: Pick<IncomingMessage, 'rawHeaders' | 'headers'>,
  { secret, replaced }: { secret: string | null; replaced: ReadonlySet<string> },
): ForwardedHeaders {
  const dropped = connection === undefined ? NONE : namedBy(connection).map(foldHeader)
  const list: HeaderList = []
  const values: Record<string, string[]> = {}
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at] ?? ''
    const name = given.toLowerCase()
    const folded = foldHeader(name)
    if (CONNECTION_HEADERS.has(folded) || folded.startsWith(OURS) || replaced.has(folded) || dropped.includes(folded))
      continue
    if (folded !== name && ONE_SPELLING.has(folded)) continue
    const value = passedOn(name, rawHeaders[at + 1] ?? '')
    if (value === undefined || (secret !== null && value.includes(secret))) continue
    list.push(given, value)
    addValue(values, name, value)
  }
  return { list, values }
}

const NONE: readonly string[] = []

function passedOn(name: string, value: string): string | undefined {
  if (name === 'prefer') return without(value, ',', (part) => /^\s*(?:wait\s*=|respond-async\s*(?:;|$))/i.test(part))
  if (name === 'cookie' && value.includes(SESSION_COOKIE))
    return without(value, ';', (part) => part.trimStart().startsWith(`${SESSION_COOKIE}=`))
  return value
}

/** The list without some of its parts; as it was where none of them is in it, undefined where nothing is left. */
function without(list: string, separator: string, isOurs: (part: string) => boolean): string | undefined {
  const parts = list.split(separator)
  const kept = parts.filter((part) => !isOurs(part))
  if (kept.length === parts.length) return list
  return kept.length === 0 ? undefined : kept.join(separator).trim()
}

/** The headers as rules see them: whatever spelling a rule names, with hyphens or as it came, it sees the values of all. */
export function judgedHeaders(values: Readonly<Record<string, string[]>>): Record<string, string[]> {
  const names = Object.keys(values)
  if (!names.some((name) => name.includes('_'))) return values
  const judged: Record<string, string[]> = {}
  for (const name of names) for (const value of values[name] ?? []) addValue(judged, foldHeader(name), value)
  for (const name of names)
    if (foldHeader(name) !== name) for (const value of judged[foldHeader(name)] ?? []) addValue(judged, name, value)
  return judged
}

/** The headers of an upstream's answer that the agent gets, with the approval that let the call go. */
export function headersToAnswer(
  raw: readonly (Buffer | string)[],
  { approvalId, trailers }: { approvalId: string | null; trailers: boolean },
): HeaderList {
  const dropped: string[] = []
  const kept: HeaderList = []
  for (let at = 0; at < raw.length; at += 2) {
    const given = textOf(raw[at])
    const name = given.toLowerCase()
    const value = textOf(raw[at + 1])
    if (name === 'connection') dropped.push(...namedBy(value))
    if (name === 'trailer' ? !trailers : CONNECTION_HEADERS.has(name)) continue
    if (!name.startsWith(OURS)) kept.push(given, value)
  }
  const list = dropped.every((name) => CONNECTION_HEADERS.has(name) && name !== 'trailer')
    ? kept
    : withoutNames(kept, dropped)
  if (approvalId !== null) list.push('Countersign-Approval', approvalId)
  return list
}

const textOf = (bytes: Buffer | string = ''): string => (typeof bytes === 'string' ? bytes : bytes.toString('latin1'))

function withoutNames(list: HeaderList, names: readonly string[]): HeaderList {
  const kept: HeaderList = []
  for (let at = 0; at < list.length; at += 2)
    if (!names.includes((list[at] ?? '').toLowerCase())) kept.push(list[at] ?? '', list[at + 1] ?? '')
  return kept
}
