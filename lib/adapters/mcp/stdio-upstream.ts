import type { JsonObject } from '../../core/canonical-json.ts'
import type { Clock } from '../../ports/clock.ts'
import type { McpUpstream } from '../../ports/mcp-upstream.ts'
import type { ChildSettings, McpLog } from './child.ts'
import { refused, StdioSession } from './stdio-session.ts'

const LOOK_FOR_IDLE_EVERY_MS = 1_000

/**
 * An MCP server that is started here, behind the same face as one that speaks Streamable HTTP: `initialize` begins a
 * session with a process of its own, so that no client sees the state of another.
 */
export function createStdioUpstream(deps: {
  settings: ChildSettings & { maxSessions: number; idleMs: number }
  clock: Clock
  log: McpLog
  newId: () => string
}): McpUpstream {
  const { settings, clock, log, newId } = deps
  const sessions = new Map<string, StdioSession>()
  let closed = false
  let cancelLook = clock.after(LOOK_FOR_IDLE_EVERY_MS, look)

  function look(): void {
    for (const session of sessions.values())
      if (session.isIdle && clock.now() - session.lastUsedAt >= settings.idleMs) void end(session)
    cancelLook = clock.after(LOOK_FOR_IDLE_EVERY_MS, look)
  }

  async function end(session: StdioSession): Promise<void> {
    sessions.delete(session.id)
    await session.close().catch((error: unknown) => log.warn({ server: settings.name, err: error }, 'did not close'))
  }

  function begin(): StdioSession | undefined {
    if (sessions.size >= settings.maxSessions) return undefined
    const session = new StdioSession({ id: newId(), settings, clock, log })
    sessions.set(session.id, session)
    return session
  }

  return {
    async exchange({ method, session: id, message, signal }) {
      if (closed) return { type: 'unreached', detail: 'the gate is shutting down' }
      if (id === null) {
        const opening = message === null ? undefined : (JSON.parse(message) as JsonObject)
        if (opening?.method !== 'initialize')
          return refused(400, 'This server keeps sessions: initialize first, and send Mcp-Session-Id.')
        const session = begin()
        if (!session) return refused(429, `This server has ${settings.maxSessions} sessions, which is its limit.`)
        const reply = await session.post(opening, signal)
        if (reply.type !== 'messages') await end(session)
        return reply
      }
      const session = sessions.get(id)
      if (!session) return refused(404, 'There is no such session.')
      switch (method) {
        case 'POST':
          return session.post(JSON.parse(message ?? 'null') as JsonObject, signal)
        case 'GET':
          return session.listen(signal)
        case 'DELETE':
          await end(session)
          return { type: 'accepted', session: null }
      }
    },
    async close() {
      closed = true
      cancelLook()
      await Promise.all([...sessions.values()].map(end))
    },
  }
}
