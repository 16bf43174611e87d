import type { Clock } from '../../ports/clock.ts'
import type { McpUpstream } from '../../ports/mcp-upstream.ts'
import type { ChildSettings, McpLog } from './child.ts'
import { createHttpUpstream } from './http-upstream.ts'
import { createStdioUpstream } from './stdio-upstream.ts'

type Where =
  | { type: 'url'; url: string; headers: Readonly<Record<string, string>> }
  | ({ type: 'command'; maxSessions: number; idleMs: number } & Omit<ChildSettings, 'name'>)

/** The MCP servers of a configuration, each as it says: by address, or by command. Nothing is connected or started yet. */
export function createMcpUpstreams<S extends { name: string; upstream: Where }>(
  servers: readonly S[],
  deps: { clock: Clock; log: McpLog; newId: () => string },
): { server: S; upstream: McpUpstream }[] {
  return servers.map((server) => {
    const { name, upstream } = server
    return {
      server,
      upstream:
        upstream.type === 'url'
          ? createHttpUpstream(upstream)
          : createStdioUpstream({ settings: { name, ...upstream }, ...deps }),
    }
  })
}
