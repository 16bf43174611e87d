import { randomUUID } from 'node:crypto'
import { createStdioUpstream } from '../../lib/adapters/mcp/stdio-upstream.ts'
import { stdioTools } from '../support/mcp-servers.ts'
import { runMcpUpstreamConformance } from './mcp-upstream.suite.ts'
import { realClock } from './real-clock.ts'

runMcpUpstreamConformance('by command', async () => {
  const { command, args, calls } = stdioTools()
  const settings = { name: 'tools', command, args, env: {}, cwd: undefined, maxSessions: 5, idleMs: 60_000 }
  const log = { info: () => {}, warn: () => {} }
  const upstream = createStdioUpstream({ settings, clock: realClock, log, newId: randomUUID })
  return {
    upstream,
    calls,
    async breakDown() {
      settings.command = '/no/such/program'
    },
  }
})
