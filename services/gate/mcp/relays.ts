import type { Clock } from '../../../lib/ports/clock.ts'
import type { McpUpstream } from '../../../lib/ports/mcp-upstream.ts'
import type { McpServer } from '../../../lib/runtime/config/mcp.ts'
import type { Config } from '../../../lib/runtime/config.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Approvals } from '../approvals.ts'
import type { Asking } from '../asking.ts'
import type { Judge } from '../judge.ts'
import { OpenCalls } from './open-calls.ts'
import { McpRelay } from './relay.ts'
import { Replies } from './replies.ts'
import { SessionIds } from './session-ids.ts'
import { ToolBook } from './tool-book.ts'

/** The MCP servers behind a gate. */
export interface McpServers {
  servers: readonly { server: McpServer; upstream: McpUpstream }[]
  /** Binds session ids to agents: gates that share it take each other's. */
  sessionKey: Uint8Array
}

/** A relay for each server, by name. */
export function createRelays(deps: {
  mcp: McpServers
  asking: Asking
  approvals: Approvals
  judge: Judge
  clock: Clock
  log: Logger
  gate: string
  config: Config['gate']
}): { relays: ReadonlyMap<string, McpRelay>; sessionIds: SessionIds; stop: () => void; close: () => Promise<void> } {
  const { mcp, asking, approvals, judge, clock, log, gate, config } = deps
  const calls = new OpenCalls({ approvals, clock, gate })
  const book = new ToolBook({ clock })
  const relays = new Map(
    mcp.servers.map(({ server, upstream }) => {
      const replies = new Replies({ server, judge, calls, book, clock, log })
      const { holdForMs } = config
      return [
        server.name,
        new McpRelay({ server, upstream, asking, calls, book, replies, clock, log, holdForMs }),
      ] as const
    }),
  )
  return {
    relays,
    sessionIds: new SessionIds(mcp.sessionKey),
    stop: () => {
      for (const relay of relays.values()) relay.stop()
    },
    close: () => calls.close(),
  }
}
