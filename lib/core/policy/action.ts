import type { Json } from '../canonical-json.ts'
import type { Level } from './policy.ts'
import type { Target } from './target.ts'

/** Who acts, and what is said about the call. */
interface Acting {
  agent: {
    name: string
    /** As configured; null or left out where nothing is. */
    type?: string | null
    /** As configured; the policy's default where it is left out. */
    autonomy?: Level | null
  }
  /** What the agent says about the call; it can only make the verdict stricter where rules use it for that. */
  context: {
    session?: string | null
    user?: string | null
    risk?: string | null
    labels?: readonly string[] | null
    /** The level of this session: it holds where it is tighter than the agent's. */
    autonomy?: string | null
  }
}

/** A tool that the agent runs itself. */
export interface ToolAction extends Acting {
  kind: 'tool'
  tool: string
  args: Json
}

/** What is known of a request's body. Only one that was read whole and understood can be judged. */
export type RequestBody =
  | { state: 'none' }
  | { state: 'whole'; value: Json }
  /**
   * `partly`: longer than what is read ahead. `unjudgeable`: not valid for its declared type, a key given twice, an
   * unknown charset or encoding. `mayOverrideMethod`: see `mentionsMethod`; nothing of it was seen where it is left out.
   */
  | { state: 'partly' | 'unjudgeable'; mayOverrideMethod?: boolean }

/** A request on its way to an upstream. What is judged here is what must be forwarded. */
export interface HttpAction extends Acting {
  kind: 'http'
  http: {
    /** The upstream's name in the configuration, or null where the agent named the host. */
    upstream: string | null
    method: string
    target: Target
    /** Names in lower case, every value of each. */
    headers: Readonly<Record<string, readonly string[]>>
    body: RequestBody
  }
}

/** A call of a tool of an MCP server. */
export interface McpAction extends Acting {
  kind: 'mcp'
  mcp: {
    /** As configured. */
    server: string
    tool: string
    /** What the server says of its tool (readOnlyHint, destructiveHint …); null where it says nothing. */
    annotations: { [key: string]: Json } | null
    /** Whether the configuration trusts the server's annotations. */
    trusted: boolean
  }
  args: Json
}

/** What an agent wants to do, as policy sees it. */
export type PolicyAction = ToolAction | HttpAction | McpAction
