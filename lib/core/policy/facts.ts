import type { PolicyAction } from './action.ts'
import { type Methods, methodsOf } from './method-override.ts'
import type { Root, Step } from './path.ts'
import { type CommandLine, readCommandLine } from './shell/command-line.ts'
import { pathReadings } from './target.ts'

/** There, but not read, or not to be understood. */
export const UNREADABLE = Symbol('unreadable')

const NO_METHODS: Methods = { names: [], areOpen: false }

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
  #methods: Methods | undefined
  #context: Record<string, unknown> | undefined
  #foldedKeys: Map<object, Map<string, unknown[]> | null> | undefined
  #lines: Map<string, CommandLine> | undefined

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

  /** The method, and those that frameworks take instead when a request asks for it. */
  get methods(): Methods {
    this.#methods ??= this.action.kind === 'http' ? methodsOf(this.action) : NO_METHODS
    return this.#methods
  }

  /** The line is read once, however many rules look at it. */
  commandLine(text: string): CommandLine {
    this.#lines ??= new Map()
    let line = this.#lines.get(text)
    if (!line) {
      line = readCommandLine(text)
      this.#lines.set(text, line)
    }
    return line
  }

  /** The value that a path begins at; undefined where the action has none. */
  root(root: Root): unknown {
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
        return target.queryValues ?? UNREADABLE
      case 'body':
        return body.state === 'none' ? undefined : body.state === 'whole' ? body.value : UNREADABLE
    }
  }

  /** What stands under any spelling of a key that is in the form of `foldKey`. Each object is folded once. */
  folded(value: unknown, key: string): readonly unknown[] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
    this.#foldedKeys ??= new Map()
    let members = this.#foldedKeys.get(value)
    if (members === undefined) {
      members = foldedMembers(value as Record<string, unknown>)
      this.#foldedKeys.set(value, members)
    }
    if (members) return members.get(key) ?? []
    return Object.hasOwn(value, key) ? [(value as Record<string, unknown>)[key]] : []
  }

  /** What stands under a key as it is; nothing where another spelling stands beside it, which a server may prefer. */
  sole(value: unknown, key: string): readonly unknown[] {
    const members = this.folded(value, foldKey(key))
    return members.length === 1 && Object.hasOwn(value as object, key) ? members : []
  }
}

/** One form for the keys that servers take for the same: as `foldName`, `name[]`, dots or spaces for underscores. */
export const foldKey = (name: string): string =>
  isFolded(name) ? name : foldName(name.replace(/\[.*$/s, '').trim()).replace(/[. ]/g, '_')

/** Most keys are. */
const isFolded = (name: string): boolean => /^[a-z0-9_-]*$/.test(name)

/** The members of an object by their folded keys; null where the keys are folded as they are. */
function foldedMembers(value: Readonly<Record<string, unknown>>): Map<string, unknown[]> | null {
  const names = Object.keys(value)
  if (names.every(isFolded)) return null
  const members = new Map<string, unknown[]>()
  for (const name of names) {
    const folded = foldKey(name)
    const given = members.get(folded)
    if (given) given.push(value[name])
    else members.set(folded, [value[name]])
  }
  return members
}

/** The steps of a path for `Facts.folded`. */
export const foldedSteps = (steps: readonly Step[]): Step[] =>
  steps.map((step) => ('key' in step ? { key: foldKey(step.key) } : step))

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
