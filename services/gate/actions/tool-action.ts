import type { AgentRef } from '../../../lib/core/actor.ts'
import type { JsonObject } from '../../../lib/core/canonical-json.ts'
import type { ActionSummary } from '../../../lib/core/events.ts'
import { fingerprint } from '../../../lib/core/fingerprint.ts'
import { previewOf, redactText, summaryOf } from '../../../lib/core/preview.ts'

/** A tool call as an approver sees it. What the agent says of it is marked as the agent's words. */
export function toolAction(call: {
  tenant: string
  agent: AgentRef
  tool: string
  args: JsonObject
  context: { session?: string; user?: string; summary?: string }
  ruleRevision: string
}): ActionSummary {
  const { tenant, agent, tool, args, context, ruleRevision } = call
  const { preview, truncated } = previewOf(args)
  const summary = summaryOf(tool, args)
  return {
    kind: 'tool',
    tool,
    method: null,
    target: null,
    summary: context.summary === undefined ? summary : `${summary} (the agent says: ${redactText(context.summary)})`,
    preview,
    previewTruncated: truncated,
    fingerprint: fingerprint({
      tenant,
      agentId: agent.id,
      kind: 'tool',
      name: tool,
      args,
      ruleRevision,
      session: context.session ?? null,
      user: context.user ?? null,
    }),
  }
}
