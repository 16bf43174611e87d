import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'
import type { McpAction } from '../../../lib/core/policy/action.ts'
import { RecentMap } from '../../../lib/core/recent-map.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import { type DeclaredParams, declaredParams } from './param-headers.ts'

type Annotations = McpAction['mcp']['annotations']

/** What a server says of a tool. */
interface Known {
  annotations: Annotations
  params: DeclaredParams
}

/** How long a server is believed that says nothing of a change: it may have had nobody to say it to. */
const FRESH_MS = 60_000
const REMEMBERED_SESSIONS = 1_000
const REMEMBERED_TOOLS = 5_000

/** What servers said of their tools, by session. In memory, bounded: what is forgotten is asked for again. */
export class ToolBook {
  readonly #clock: Clock
  readonly #tools = new RecentMap<string, { learnedAt: number; byName: Map<string, Known> }>(REMEMBERED_SESSIONS)

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  /** What the server says of a tool (null: nothing); undefined when that is not known, or not fresh. */
  annotationsOf(session: string, tool: string): Annotations | undefined {
    return this.#known(session, tool)?.annotations
  }

  /** The arguments that the tool wants repeated in headers; undefined when that is not known, or not fresh. */
  paramsOf(session: string, tool: string): DeclaredParams | undefined {
    return this.#known(session, tool)?.params
  }

  #known(session: string, tool: string): Known | undefined {
    const known = this.#tools.get(session)
    return known && this.#clock.now() - known.learnedAt < FRESH_MS ? known.byName.get(tool) : undefined
  }

  /** Learns a page of tools. The age of all is that of the oldest page. */
  learn(session: string, tools: readonly Json[]): void {
    const now = this.#clock.now()
    const known = this.#tools.get(session)
    const isFresh = known !== undefined && now - known.learnedAt < FRESH_MS
    const { learnedAt, byName } = isFresh ? known : { learnedAt: now, byName: new Map<string, Known>() }
    for (const tool of tools)
      if (isJsonObject(tool) && typeof tool.name === 'string' && byName.size < REMEMBERED_TOOLS)
        byName.set(tool.name, { annotations: annotationsIn(tool), params: declaredParams(tool) })
    this.#tools.set(session, { learnedAt, byName })
  }

  /** The server says that its tools have changed, or the session is over. */
  forget(session: string): void {
    this.#tools.delete(session)
  }
}

const MAX_ANNOTATIONS = 32
const MAX_TEXT = 200

/** The hints of a tool (MCP, ToolAnnotations): short texts, numbers and words of yes and no, as many as anybody needs. */
export function annotationsIn({ annotations }: JsonObject): Annotations {
  if (!isJsonObject(annotations)) return null
  const isHint = (value: Json) => typeof value !== 'object' && !(typeof value === 'string' && value.length > MAX_TEXT)
  const hints = Object.entries(annotations).filter(([name, value]) => name.length <= MAX_TEXT && isHint(value))
  return Object.fromEntries(hints.slice(0, MAX_ANNOTATIONS))
}
