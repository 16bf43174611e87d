import { type Static, Type } from 'typebox'
import { parseDuration } from '../../core/duration.ts'
import { closed, DurationText, Name } from './fields.ts'

const Text = Type.String({ maxLength: 4_096 })
const MODES = ['auto', 'hold', 'retry'] as const

/** `mcp` of countersign.yaml: the servers behind `/mcp/{server}`, each by `url` or by `command`. */
export const McpFile = Type.Record(
  Name,
  Type.Object(
    {
      url: Type.Optional(Text),
      headers: Type.Optional(Type.Record(Type.String(), Text)),
      command: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096 })),
      args: Type.Optional(Type.Array(Text)),
      env: Type.Optional(Type.Record(Type.String(), Text)),
      cwd: Type.Optional(Type.String({ minLength: 1, maxLength: 4_096 })),
      maxSessions: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
      idleTimeout: Type.Optional(DurationText),
      mode: Type.Optional(Type.Enum([...MODES])),
      holdFor: Type.Optional(DurationText),
      trusted: Type.Optional(Type.Boolean()),
    },
    closed,
  ),
)

type McpEntry = Static<typeof McpFile>[string]

/** A server that speaks Streamable HTTP. */
export interface McpAddress {
  type: 'url'
  url: string
  /** What the gate adds, so that the agent never has the credential. Names in lower case. */
  headers: Record<string, string>
}

/** A server that is started here and speaks over its stdin and stdout: one process for each session. */
export interface McpCommand {
  type: 'command'
  command: string
  args: string[]
  /** Beside the few variables that every process needs. */
  env: Record<string, string>
  cwd: string | undefined
  maxSessions: number
  /** A session that nobody uses for so long is closed. */
  idleMs: number
}

export interface McpServer {
  name: string
  upstream: McpAddress | McpCommand
  /** How a call waits for a person: `auto` for `holdForMs`, `hold` until the rule's timeout, `retry` not at all. */
  mode: (typeof MODES)[number]
  /** Undefined: `gate.holdFor`. */
  holdForMs: number | undefined
  /** Whether rules may believe what the server says of its tools. */
  trusted: boolean
}

const OF_COMMAND = ['args', 'env', 'cwd', 'maxSessions', 'idleTimeout'] as const
const OF_URL = ['headers'] as const
/** The transport's own headers are the gate's to set. */
const OWN_HEADERS =
  /^(mcp-.*|content-.*|transfer-encoding|connection|host|accept|last-event-id|upgrade|te|trailer|keep-alive|expect)$/

export const readMcp = (file: Static<typeof McpFile> = {}, problems: string[]): McpServer[] =>
  Object.entries(file).map(([name, entry]) => {
    const { mode = 'auto', holdFor, trusted = false } = entry
    const at = `mcp.${name}`
    if (name.includes('__') || name.endsWith('_'))
      problems.push(`${at}: a server's name holds no double underscore and does not end with one (mcp__server__tool)`)
    const holdForMs = holdFor === undefined ? undefined : parseDuration(holdFor)
    if (holdFor !== undefined && mode !== 'auto') problems.push(`${at}.holdFor goes with mode: auto alone`)
    if (holdForMs !== undefined && holdForMs < 1_000) problems.push(`${at}.holdFor must be at least 1s`)
    return { name, upstream: readUpstream(at, entry, problems), mode, holdForMs, trusted }
  })

function readUpstream(at: string, entry: McpEntry, problems: string[]): McpAddress | McpCommand {
  const { url, headers = {}, command, args = [], env = {}, cwd, maxSessions = 32, idleTimeout = '30m' } = entry
  if ((url === undefined) === (command === undefined)) problems.push(`${at} must have either url or command`)
  if (url !== undefined) {
    for (const key of OF_COMMAND) if (entry[key] !== undefined) problems.push(`${at}.${key} goes with command alone`)
    if (!isUsableUrl(url))
      problems.push(`${at}.url must be http://… or https://…, without user name, password and fragment`)
    for (const [name, value] of Object.entries(headers)) {
      if (!/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) problems.push(`${at}.headers has a name that no header can have`)
      else if (OWN_HEADERS.test(name.toLowerCase())) problems.push(`${at}.headers.${name} is set by the gate itself`)
      else if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
        problems.push(`${at}.headers.${name} has a character that no header can have`)
    }
    const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
    return { type: 'url', url, headers: Object.fromEntries(lower) }
  }
  for (const key of OF_URL) if (entry[key] !== undefined) problems.push(`${at}.${key} goes with url alone`)
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) problems.push(`${at}.env has a name that no variable can have`)
    else if (value.includes('\0')) problems.push(`${at}.env.${name} has a character that no variable can have`)
  }
  const idleMs = parseDuration(idleTimeout) ?? 0
  if (idleMs < 1_000) problems.push(`${at}.idleTimeout must be at least 1s`)
  return { type: 'command', command: command ?? '', args, env, cwd, maxSessions, idleMs }
}

function isUsableUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false
  const { username, password, hash } = new URL(text)
  return username === '' && password === '' && hash === ''
}
