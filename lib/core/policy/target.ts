import { addValue } from '../value-lists.ts'

/**
 * One form for all spellings of where an HTTP request goes (RFC 3986, section 6). It is judged and it is forwarded, so
 * that no spelling passes a rule and means something else upstream. What could be read in two ways is refused.
 */
export interface Target {
  scheme: 'http' | 'https'
  /** Lower case, punycode, no trailing dot; IPv4 dotted, IPv6 compressed in brackets. */
  host: string
  port: number
  /** Begins with a slash; no dot segments, no empty segments, percent-encoding only where it is due. */
  path: string
  /** What stands behind the `?`, byte for byte; null without one. */
  query: string | null
  /** The decoded values of each name; null when it cannot be told how the upstream will read them. */
  queryValues: Readonly<Record<string, readonly string[]>> | null
}

export type NormalisedTarget = { ok: true; target: Target } | { ok: false; reason: string }

/** The parts of a request: `authority` as in the Host header or a URL, `path` as in the request line, with its query. */
export interface RawTarget {
  scheme: string
  authority: string
  path: string
}

const MAX_TARGET = 16_384
const DEFAULT_PORTS = { http: 80, https: 443 } as const

/** Idempotent: the form of a form is itself. Never throws, linear in the length. */
export function normaliseTarget({ scheme, authority, path }: RawTarget): NormalisedTarget {
  try {
    const known = scheme.toLowerCase()
    if (known !== 'http' && known !== 'https') throw new Refusal('the scheme is neither http nor https')
    const { host, port } = readAuthority(authority)
    return { ok: true, target: { scheme: known, host, port: port ?? DEFAULT_PORTS[known], ...readPath(path) } }
  } catch (error) {
    return refusalOf(error)
  }
}

/** The same for a path and query at a place that is in its form already. */
export function normaliseAt({ scheme, host, port }: Target, path: string): NormalisedTarget {
  try {
    return { ok: true, target: { scheme, host, port, ...readPath(path) } }
  } catch (error) {
    return refusalOf(error)
  }
}

/** Throws Refusal. */
function readPath(path: string): Pick<Target, 'path' | 'query' | 'queryValues'> {
  if (path.length > MAX_TARGET) throw new Refusal(`the path is longer than ${MAX_TARGET} characters`)
  const mark = path.indexOf('?')
  const query = mark < 0 ? null : checkQuery(path.slice(mark + 1))
  return {
    path: normalisePath(mark < 0 ? path : path.slice(0, mark)),
    query,
    queryValues: query === null ? {} : readQuery(query),
  }
}

const refusalOf = (error: unknown): NormalisedTarget => ({
  ok: false,
  reason: error instanceof Refusal ? error.message : 'the target cannot be read',
})

/** The same for an absolute URL. */
export function normaliseUrl(url: string): NormalisedTarget {
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^#]*)$/s.exec(url)
  if (!found) return { ok: false, reason: 'this is no absolute URL without a fragment' }
  const [, scheme = '', authority = '', rest = ''] = found
  return normaliseTarget({ scheme, authority, path: rest.startsWith('/') ? rest : `/${rest}` })
}

/** The URL to forward to. */
export function targetUrl({ scheme, host, port, path, query }: Target): string {
  const authority = port === DEFAULT_PORTS[scheme] ? host : `${host}:${port}`
  return `${scheme}://${authority}${path}${query === null ? '' : `?${query}`}`
}

class Refusal extends Error {}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

function readAuthority(authority: string): { host: string; port: number | undefined } {
  if (authority.includes('@')) throw new Refusal('the host carries a user name or a password')
  const found = /^(\[[0-9A-Fa-f:.]+\]|[^[\]:]+)(?::(\d{0,5}))?$/.exec(authority)
  if (!found) throw new Refusal('the host cannot be read')
  const [, name = '', digits = ''] = found
  const port = digits === '' ? undefined : Number(digits)
  if (port !== undefined && (port < 1 || port > 65_535)) throw new Refusal('the port is not from 1 to 65535')
  return { host: normaliseHost(name), port }
}

/** Throws Refusal. The URL standard reads numbers, hexadecimal and short forms of IPv4, IPv6, and Unicode (UTS #46). */
function normaliseHost(name: string): string {
  if (name.length > 1_000 || /[\s\\/?#%@<>^|\p{Cc}]/u.test(name))
    throw new Refusal('the host holds characters that no host has')
  let host: string
  try {
    host = new URL(`http://${name}/`).hostname
  } catch {
    throw new Refusal('the host cannot be read')
  }
  if (host.startsWith('[')) return unmapped(host)
  if (host.endsWith('.')) host = host.slice(0, -1)
  if (host.length > 253 || !host.split('.').every((label) => LABEL.test(label)))
    throw new Refusal('the host is no name and no address')
  return host
}

/** An IPv4 address in IPv6 clothes (RFC 4291, 2.5.5.2) connects to that IPv4 address. */
function unmapped(host: string): string {
  const found = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(host)
  if (!found) return host
  const [high, low] = [Number.parseInt(found[1] ?? '', 16), Number.parseInt(found[2] ?? '', 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** RFC 3986, 3.3: what may not stand in a segment as it is. */
const NO_SEGMENT_CHAR = /[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/g
const UNRESERVED = /[A-Za-z0-9\-._~]/
/** A path that is in its form: most are. */
const PLAIN_PATH = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9\-._~]*)+$/

/** Throws Refusal. */
function normalisePath(raw: string): string {
  if (PLAIN_PATH.test(raw)) return raw
  if (!raw.startsWith('/')) throw new Refusal('the path does not begin with a slash')
  if (/[^\x21-\x7e]/.test(raw)) throw new Refusal('the path holds spaces, control characters or bare Unicode')
  if (/[\\#]|%5c/i.test(raw)) throw new Refusal('the path holds a backslash or a fragment')
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) throw new Refusal('the path holds a percent sign that encodes nothing')
  const spelled = raw
    .replace(/%([0-9A-Fa-f]{2})/g, (all, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16))
      return UNRESERVED.test(char) ? char : all.toUpperCase()
    })
    .replace(NO_SEGMENT_CHAR, encodeURIComponent)
  if (/%25[0-9A-Fa-f]{2}/.test(spelled)) throw new Refusal('the path is percent-encoded twice')
  const kept: string[] = []
  const segments = spelled.split('/').slice(1)
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment === '..' || segment === '.' || segment === '') {
      if (isLast) kept.push('')
    } else kept.push(checkSegment(segment))
  }
  return `/${kept.join('/')}`
}

function checkSegment(segment: string): string {
  if (!segment.includes('%') && !segment.includes(';')) return segment
  let text: string
  try {
    text = decodeURIComponent(segment)
  } catch {
    throw new Refusal('the path is not UTF-8, or spells a character longer than it is')
  }
  if (/\p{Cc}/u.test(text)) throw new Refusal('the path holds control characters')
  const folded = text.normalize('NFKC')
  if (folded.includes('\\') || (folded.includes('/') && !text.includes('/')))
    throw new Refusal('the path holds characters that some servers take for a slash')
  // Servers differ in when they decode a slash and cut `;parameters` off: then these would climb.
  if (folded.split('/').some((part) => /^\s*\.\.?\s*(?:;|$)/.test(part)))
    throw new Refusal('the path hides dot segments')
  return segment
}

/**
 * How servers may read a path, as decoded segments: an encoded slash as part of its segment or as a slash, `;…` as
 * part of its segment or as parameters beside it. One reading where there is no doubt.
 */
export function pathReadings(path: string): string[][] {
  const segments = path.slice(1).split('/')
  if (!path.includes('%') && !path.includes(';')) return [segments]
  const literal = segments.map(decoded)
  const readings = [literal]
  const apart = literal.join('/')
  if (apart.split('/').length !== literal.length) readings.push(withoutEmpty(apart.split('/')))
  if (apart.includes(';')) {
    const bare = (parts: readonly string[]) => withoutEmpty(parts.map((part) => part.replace(/;.*$/s, '')))
    for (const reading of [...readings]) readings.push(bare(reading))
  }
  return readings
}

/** Without empty segments, but for a last one, which is the trailing slash. */
const withoutEmpty = (parts: readonly string[]): string[] =>
  parts.filter((part, index) => part !== '' || index === parts.length - 1)

/** As it is, where it is not percent-encoded text. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Throws Refusal. */
function checkQuery(query: string): string {
  if (/[^\x21-\x7e]/.test(query)) throw new Refusal('the query holds spaces, control characters or bare Unicode')
  if (query.includes('#')) throw new Refusal('the query holds a fragment')
  if (/%(?![0-9A-Fa-f]{2})/.test(query)) throw new Refusal('the query holds a percent sign that encodes nothing')
  return query
}

/** As HTML forms are read (URL standard, 5.1). Null for a bare `;`, which some servers take for `&`, and for no UTF-8. */
function readQuery(query: string): Target['queryValues'] {
  if (query.includes(';')) return null
  const values: Record<string, string[]> = {}
  try {
    for (const piece of query.split('&')) {
      if (piece === '') continue
      const equals = piece.indexOf('=')
      const name = unescaped(equals < 0 ? piece : piece.slice(0, equals))
      addValue(values, name, equals < 0 ? '' : unescaped(piece.slice(equals + 1)))
    }
  } catch {
    return null
  }
  return values
}

/** Throws for what is no UTF-8. */
const unescaped = (text: string): string => (/[%+]/.test(text) ? decodeURIComponent(text.replaceAll('+', ' ')) : text)
