import type { PolicyAction } from './action.ts'
import type { Root } from './path.ts'
import { type CommandLine, readCommandLine } from './shell/command-line.ts'
import { pathReadings } from './target.ts'

/** There, but not read, or not to be understood. */
export const UNREADABLE = Symbol('unreadable')

/** A name that a call goes by. */
export interface CallName {
  server: string | null
  tool: string
}

/** What rules look at, worked out once for an action, and only when a rule looks. */
export class Facts {
  readonly action: PolicyAction
  #strictNames: CallName[] | undefined
  #readings: string[][] | undefined
  #methods: string[] | undefined
  #looseQuery: Record<string, string[]> | undefined
  #context: Record<string, unknown> | undefined
  readonly #lines = new Map<string, CommandLine>()

  constructor(action: PolicyAction) {
    this.action = action
  }

  /**
   * Names in the form that rules compare which deny or ask. A call of an MCP tool goes by its own name and by
   * `mcp__server__tool`, through whichever way it comes.
   */
  get strictNames(): CallName[] {
    this.#strictNames ??= strictNames(this.action)
    return this.#strictNames
  }

  /** See `pathReadings`; empty where there is no path. */
  get readings(): string[][] {
    this.#readings ??= this.action.kind === 'http' ? pathReadings(this.action.http.target.path) : []
    return this.#readings
  }

  /** The readings as texts, without the first slash. */
  get joinedReadings(): string[] {
    return this.readings.map((reading) => reading.join('/'))
  }

  /** The method, and those that frameworks take instead when a request asks for it; in capitals. */
  get methods(): string[] {
    this.#methods ??= methodsOf(this.action)
    return this.#methods
  }

  /** The line is read once, however many rules look at it. */
  commandLine(text: string): CommandLine {
    let line = this.#lines.get(text)
    if (!line) {
      line = readCommandLine(text)
      this.#lines.set(text, line)
    }
    return line
  }

  /** The value that a path begins at; undefined where the action has none. `loose` widens the names in a query. */
  root(root: Root, loose: boolean): unknown {
    const { action } = this
    switch (root) {
      case 'args':
        return action.kind === 'http' ? undefined : action.args
      case 'context':
        this.#context ??= Object.fromEntries(
          // What the agent left out, or gave as null, is not there.
          Object.entries(action.context).filter(([, value]) => value !== null && value !== undefined),
        )
        return this.#context
      case 'annotations':
        if (action.kind !== 'mcp') return undefined
        return action.mcp.trusted ? (action.mcp.annotations ?? undefined) : UNREADABLE
    }
    if (action.kind !== 'http') return undefined
    const { headers, body, target } = action.http
    switch (root) {
      case 'headers':
        return headers
      case 'query':
        if (target.queryValues === null) return UNREADABLE
        return loose ? this.#loose(target.queryValues) : target.queryValues
      case 'body':
        return body.state === 'none' ? undefined : body.state === 'whole' ? body.value : UNREADABLE
    }
  }

  #loose(values: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
    if (!this.#looseQuery) {
      const folded = new Map<string, string[]>()
      for (const [name, given] of Object.entries(values)) {
        const key = foldQueryName(name)
        folded.set(key, [...(folded.get(key) ?? []), ...given])
      }
      this.#looseQuery = Object.fromEntries(folded)
    }
    return this.#looseQuery
  }
}

/** One form for what frameworks take for the same name: case, `name[]`, and dots or spaces for underscores. */
export const foldQueryName = (name: string): string =>
  name.replace(/\[.*$/s, '').trim().replace(/[. ]/g, '_').toLowerCase()

/** One form for spellings that look alike: case, compatibility forms, invisible characters (Unicode NFKC, Cf). */
export function foldName(text: string): string {
  const isPlain = /^[\x21-\x7e]*$/.test(text)
  return (
    isPlain
      ? text
      : text
          .normalize('NFKC')
          .replace(/\p{Cf}/gu, '')
          .trim()
  ).toLowerCase()
}

function strictNames(action: PolicyAction): CallName[] {
  if (action.kind === 'http') return []
  if (action.kind === 'mcp') {
    const server = foldName(action.mcp.server)
    const tool = foldName(action.mcp.tool)
    return [
      { server, tool },
      { server, tool: `mcp__${server}__${tool}` },
    ]
  }
  const tool = foldName(action.tool)
  if (!tool.startsWith('mcp__')) return [{ server: null, tool }]
  const end = tool.indexOf('__', 5)
  return end < 0
    ? [{ server: null, tool }]
    : [
        { server: null, tool },
        { server: tool.slice(5, end), tool: tool.slice(end + 2) },
      ]
}

/**
 * The names that a rule which allows compares, as they are. Without a `server` in the rule, a tool of an MCP server
 * goes by its long name alone: a server must not pass for a tool that is allowed elsewhere.
 */
export function exactNames(action: PolicyAction, hasServer: boolean): CallName[] {
  if (action.kind === 'http') return []
  if (action.kind === 'tool') return [{ server: null, tool: action.tool }]
  const { server, tool } = action.mcp
  if (hasServer) return [{ server, tool }]
  const isClear = !server.includes('__') && !tool.includes('__') && !server.endsWith('_') && !tool.startsWith('_')
  return isClear ? [{ server, tool: `mcp__${server}__${tool}` }] : []
}

const OVERRIDES = ['x-http-method-override', 'x-http-method', 'x-method-override']

function methodsOf(action: PolicyAction): string[] {
  if (action.kind !== 'http') return []
  const { method, headers, body, target } = action.http
  const all = [method]
  for (const name of OVERRIDES) if (headers[name]) all.push(...headers[name])
  if (target.queryValues?._method) all.push(...target.queryValues._method)
  if (body.state === 'whole' && typeof body.value === 'object' && body.value !== null && !Array.isArray(body.value)) {
    const { _method: inBody } = body.value
    if (typeof inBody === 'string') all.push(inBody)
  }
  return all.map((each) => each.trim().toUpperCase())
}
