import type { AgentRef } from '../../../lib/core/actor.ts'
import type { JsonObject } from '../../../lib/core/canonical-json.ts'
import type { ActionSummary } from '../../../lib/core/events.ts'
import { fingerprint } from '../../../lib/core/fingerprint.ts'
import { previewOf, summaryOf } from '../../../lib/core/preview.ts'

/**
 * The call as an approver sees it, by the long name that hooks give the same tool. It belongs to no session: a client
 * that connects anew and calls again picks up what was approved.
 */
export function mcpAction(asked: {
  tenant: string
  agent: AgentRef
  server: string
  tool: string
  args: JsonObject
  ruleRevision: string
}): ActionSummary {
  const { tenant, agent, server, tool, args, ruleRevision } = asked
  const { preview, truncated } = previewOf(args)
  const name = `mcp__${server}__${tool}`
  return {
    kind: 'mcp',
    tool: name,
    method: null,
    target: null,
    summary: summaryOf(`${server}/${tool}`, args),
    preview,
    previewTruncated: truncated,
    fingerprint: fingerprint({
      tenant,
      agentId: agent.id,
      kind: 'mcp',
      name,
      args,
      ruleRevision,
      session: null,
      user: null,
    }),
  }
}
