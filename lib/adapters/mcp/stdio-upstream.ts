import type { JsonObject } from '../../core/canonical-json.ts'
import type { Clock } from '../../ports/clock.ts'
import type { McpReply, McpUpstream } from '../../ports/mcp-upstream.ts'
import type { ChildSettings, McpLog } from './child.ts'
import { refused, StdioSession } from './stdio-session.ts'

const LOOK_FOR_IDLE_EVERY_MS = 1_000

/**
 * An MCP server that is started here, behind the same face as one that speaks Streamable HTTP: `initialize` begins a
 * session with a process of its own, so that no client sees the state of another. An agent has at most half of the
 * sessions; where there is room for no more, its longest idle one makes way.
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

  const share = Math.ceil(settings.maxSessions / 2)

  /** A session that makes way; undefined when none does. What a dead process has left goes first, whosever it is. */
  function leaver(all: StdioSession[], own: StdioSession[]): StdioSession | undefined {
    const dead = (own.length >= share ? own : all).filter(({ isDead }) => isDead)
    const idle = own.filter(({ isIdle }) => isIdle)
    return longestIdle(dead) ?? longestIdle(idle)
  }

  function begin(agent: string): StdioSession | McpReply {
    const all = [...sessions.values()]
    const own = all.filter((each) => each.agent === agent)
    let room: Promise<void> | undefined
    if (own.length >= share || all.length >= settings.maxSessions) {
      const leaving = leaver(all, own)
      if (!leaving && own.length >= share)
        return refused(
          429,
          `This agent has ${share} sessions with this server, which is its limit, and all are in use.`,
        )
      if (!leaving) return refused(429, `This server has ${settings.maxSessions} sessions, which is its limit.`)
      room = end(leaving)
    }
    const session = new StdioSession({ id: newId(), agent, settings, clock, log, ...(room && { room }) })
    sessions.set(session.id, session)
    return session
  }

  return {
    async exchange({ method, agent, session: id, message, signal }) {
      if (closed) return { type: 'unreached', detail: 'the gate is shutting down' }
      if (id === null) {
        const opening = message === null ? undefined : (JSON.parse(message) as JsonObject)
        if (opening?.method !== 'initialize')
          return refused(400, 'This server keeps sessions: initialize first, and send Mcp-Session-Id.')
        const session = begin(agent)
        if (!(session instanceof StdioSession)) return session
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

const longestIdle = (sessions: StdioSession[]): StdioSession | undefined =>
  sessions.reduce<StdioSession | undefined>(
    (first, each) => (first && first.lastUsedAt <= each.lastUsedAt ? first : each),
    undefined,
  )
