import { createHttpUpstream } from '../../lib/adapters/mcp/http-upstream.ts'
import { startHttpTools } from '../support/mcp-servers.ts'
import { runMcpUpstreamConformance } from './mcp-upstream.suite.ts'

runMcpUpstreamConformance('by address', async () => {
  const { url, calls, close } = await startHttpTools()
  return { upstream: createHttpUpstream({ url, headers: {} }), calls: () => calls, breakDown: close }
})
