import { type Static, Type } from 'typebox'
import { parseDuration } from '../../core/duration.ts'
import { CONNECTION_HEADERS, foldHeader } from '../../core/header-name.ts'
import { normaliseUrl, type Target } from '../../core/policy/target.ts'
import { closed, DurationText, Name } from './fields.ts'

/** `upstreams` of countersign.yaml: where `/proxy/{upstream}/…` leads. */
export const UpstreamsFile = Type.Record(
  Name,
  Type.Object(
    {
      url: Type.String({ maxLength: 2_000 }),
      headers: Type.Optional(Type.Record(Type.String(), Type.String())),
      connectTimeout: Type.Optional(DurationText),
      answerTimeout: Type.Optional(DurationText),
      idleTimeout: Type.Optional(DurationText),
    },
    closed,
  ),
)

export interface Upstream {
  name: string
  /** Where it is. Its path stands before every path that an agent names; it has no query. */
  base: Target
  /** What the gate adds, so that the agent never has the credential: names in lower case, and values, in turn. */
  headers: readonly string[]
  /** Their names as `foldHeader` spells them: an agent's own give way to them. */
  replaces: ReadonlySet<string>
  /** How long a connection may take to be made. */
  connectTimeoutMs: number
  /** How long the upstream may take to begin its answer, once it has the call. */
  answerTimeoutMs: number
  /** How long an answer may pause. */
  idleTimeoutMs: number
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,200}$/
const FIELD_VALUE = /^[\x20-\x7e\t]*$/

/** Reads the section; what is wrong goes to `problems`, by name and never with its value. */
export function readUpstreams(file: Static<typeof UpstreamsFile> = {}, problems: string[]): Upstream[] {
  return Object.entries(file).flatMap(([name, settings]) => {
    const at = `upstreams.${name}`
    const base = readBase(settings.url, `${at}.url`, problems)
    const headers = readHeaders(settings.headers ?? {}, `${at}.headers`, problems)
    const timeout = (key: 'connectTimeout' | 'answerTimeout' | 'idleTimeout', standard: string): number => {
      const ms = parseDuration(settings[key] ?? standard) ?? 0
      if (ms < 1) problems.push(`${at}.${key} must be longer than nothing`)
      return ms
    }
    const timeouts = {
      connectTimeoutMs: timeout('connectTimeout', '10s'),
      answerTimeoutMs: timeout('answerTimeout', '5m'),
      idleTimeoutMs: timeout('idleTimeout', '5m'),
    }
    return base
      ? [
          {
            name,
            base,
            headers: [...headers].flat(),
            replaces: new Set([...headers.keys()].map(foldHeader)),
            ...timeouts,
          },
        ]
      : []
  })
}

function readBase(url: string, at: string, problems: string[]): Target | undefined {
  const found = url.includes('#') ? { ok: false as const, reason: 'it holds a fragment' } : normaliseUrl(url)
  if (!found.ok) {
    problems.push(`${at} must be an http or https URL: ${found.reason}`)
    return undefined
  }
  const { target } = found
  if (target.query !== null) {
    problems.push(`${at} must not hold a query`)
    return undefined
  }
  return { ...target, path: target.path.replace(/\/$/, '') }
}

function readHeaders(file: Record<string, string>, at: string, problems: string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (const [given, value] of Object.entries(file)) {
    const name = given.toLowerCase()
    if (!TOKEN.test(given)) problems.push(`${at} must hold names of headers`)
    else if (CONNECTION_HEADERS.has(name) || name === 'content-length' || name.startsWith('countersign-'))
      problems.push(`${at}.${given} belongs to the connection and cannot be set`)
    else if (headers.has(name)) problems.push(`${at}.${given} is given twice`)
    else if (!FIELD_VALUE.test(value)) problems.push(`${at}.${given} holds a character that no header can`)
    else headers.set(name, value.trim())
  }
  return headers
}
