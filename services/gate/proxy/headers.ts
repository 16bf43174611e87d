import type { IncomingHttpHeaders } from 'node:http'
import { SESSION_COOKIE } from '../../../lib/runtime/access.ts'
import { agentSecretOf } from '../../../lib/runtime/agent-key.ts'

/** Names and values in turn, as they came and in their order. */
export type HeaderList = string[]

/** Of one connection, and so not to be passed on (RFC 9110, 7.6.1); `expect` is answered by the gate itself. */
const HOP_BY_HOP = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const OURS = 'countersign-'

/**
 * The one name that CGI, WSGI and PHP see in `X-Tenant`, `X_Tenant` and `x-tenant`: for them every spelling is another
 * value of the same header.
 */
const foldHeader = (name: string): string => name.toLowerCase().replaceAll('_', '-')
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
const namedBy = (connection: string | undefined): string[] =>
  connection === undefined ? [] : connection.split(',').map((name) => name.trim().toLowerCase())

/**
 * The headers of a call that its upstream gets: without those of the connection, what speaks to the gate alone,
 * whatever holds the agent's key, and what the configuration sets in their place.
 */
export function headersToForward(
  rawHeaders: readonly string[],
  headers: IncomingHttpHeaders,
  configured: Readonly<Record<string, string>>,
): HeaderList {
  const dropped = namedBy(headers.connection).map(foldHeader)
  const set = new Set(Object.keys(configured).map(foldHeader))
  const secret = agentSecretOf(headers) ?? undefined
  const kept: HeaderList = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at] ?? ''
    const name = given.toLowerCase()
    const folded = foldHeader(name)
    if (HOP_BY_HOP.has(folded) || folded.startsWith(OURS) || dropped.includes(folded) || set.has(folded)) continue
    if (folded !== name && ONE_SPELLING.has(folded)) continue
    const value = passedOn(name, rawHeaders[at + 1] ?? '')
    if (value === undefined || (secret !== undefined && value.includes(secret))) continue
    kept.push(given, value)
  }
  return kept
}

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

/** Names in lower case, every value of each. */
export function headerValues(list: HeaderList): Record<string, string[]> {
  const values: [string, string][] = []
  for (let at = 0; at < list.length; at += 2) values.push([(list[at] ?? '').toLowerCase(), list[at + 1] ?? ''])
  return grouped(values)
}

/** The headers as rules see them: whatever spelling a rule names, with hyphens or as it came, it sees the values of all. */
export function judgedHeaders(values: Readonly<Record<string, string[]>>): Record<string, string[]> {
  const names = Object.keys(values)
  if (!names.some((name) => name.includes('_'))) return values
  const folded = grouped(names.flatMap((name) => (values[name] ?? []).map((value) => [foldHeader(name), value])))
  // By no assignment: there is a header `__proto__` too.
  const asGiven = names.map((name): [string, string[]] => [name, folded[foldHeader(name)] ?? []])
  return Object.fromEntries([...Object.entries(folded), ...asGiven])
}

function grouped(pairs: readonly (readonly [string, string])[]): Record<string, string[]> {
  const values = new Map<string, string[]>()
  for (const [name, value] of pairs) {
    const given = values.get(name)
    if (given) given.push(value)
    else values.set(name, [value])
  }
  return Object.fromEntries(values)
}

export function withConfigured(list: HeaderList, configured: Readonly<Record<string, string>>): HeaderList {
  const all = [...list]
  for (const [name, value] of Object.entries(configured)) all.push(name, value)
  return all
}

/** The headers of an upstream's answer that the agent gets, with the approval that let the call go. */
export function headersToAnswer(
  raw: readonly (Buffer | string)[],
  { approvalId, trailers }: { approvalId: string | null; trailers: boolean },
): HeaderList {
  const list = raw.map((each) => (typeof each === 'string' ? each : each.toString('latin1')))
  let connection: string | undefined
  for (let at = 0; at < list.length; at += 2)
    if (list[at]?.toLowerCase() === 'connection') connection = `${connection ?? ''},${list[at + 1] ?? ''}`
  const dropped = namedBy(connection)
  const kept: HeaderList = []
  for (let at = 0; at < list.length; at += 2) {
    const name = (list[at] ?? '').toLowerCase()
    if (name === 'trailer' ? !trailers : HOP_BY_HOP.has(name)) continue
    if (name.startsWith(OURS) || dropped.includes(name)) continue
    kept.push(list[at] ?? '', list[at + 1] ?? '')
  }
  if (approvalId !== null) kept.push('Countersign-Approval', approvalId)
  return kept
}
