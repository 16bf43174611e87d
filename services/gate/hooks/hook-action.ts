import type { AgentRef } from '../../../lib/core/actor.ts'
import type { ActionSummary } from '../../../lib/core/events.ts'
import { fingerprint } from '../../../lib/core/fingerprint.ts'
import type { ToolAction } from '../../../lib/core/policy/action.ts'
import { previewOf, redactText, summaryOf } from '../../../lib/core/preview.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import type { HookCall } from './hook-input.ts'

/** The call as rules see it: a tool by its name in Claude Code, `mcp__server__tool` for those of MCP servers. */
export const judgedOf = (agent: Principal, call: HookCall, autonomy: string | null): ToolAction => ({
  kind: 'tool',
  tool: call.tool,
  args: call.input,
  agent,
  context: {
    session: call.session,
    autonomy,
    labels: [
      'claude-code',
      ...(call.permissionMode === null ? [] : [`permission-mode:${call.permissionMode}`]),
      ...(call.agentType === null ? [] : [`subagent:${call.agentType}`]),
    ],
  },
})

const MAX_CWD = 300

/** The call as an approver sees it. Where it runs is part of what is approved: paths in it may be relative. */
export function hookAction(asked: {
  tenant: string
  agent: AgentRef
  call: HookCall
  ruleRevision: string
}): ActionSummary {
  const { tenant, agent, call, ruleRevision } = asked
  const { preview, truncated } = previewOf(call.input)
  const places = [
    ...(call.cwd === null ? [] : [`in ${redactText(call.cwd.slice(0, MAX_CWD))}`]),
    ...(call.agentType === null ? [] : [`by the subagent ${redactText(call.agentType)}`]),
  ]
  const summary = summaryOf(call.tool, call.input)
  return {
    kind: 'hook',
    tool: call.tool,
    method: null,
    target: null,
    summary: places.length === 0 ? summary : `${summary} (${places.join(', ')})`,
    preview,
    previewTruncated: truncated,
    fingerprint: fingerprint({
      tenant,
      agentId: agent.id,
      kind: 'hook',
      name: call.tool,
      args: { input: call.input, cwd: call.cwd },
      ruleRevision,
      session: call.session,
      user: null,
    }),
  }
}
