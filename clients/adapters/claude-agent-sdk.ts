import type { Allowed, Denied } from '../sdk/guard.ts'
import { report } from '../sdk/run.ts'
import type { ReportedOutcome } from '../sdk/types.ts'
import { type CallGuardOptions, editedText, type Guarding, guardCall, refusalText } from './call-guard.ts'
import { Recent } from './recent.ts'

/** A call as Claude Code tells of it: its session and folder are known to hooks alone. */
export interface ToolCall {
  toolName: string
  toolUseId: string
  sessionId?: string
  cwd?: string
  /** Of a call inside a subagent. */
  agentId?: string
}

export interface GuardClaudeOptions extends CallGuardOptions<ToolCall> {
  /** What Claude reads of a denied call. */
  onDenied?(denial: Denied, call: ToolCall): string
}

/** As much of a hook's input as counts here (https://code.claude.com/docs/en/hooks). */
interface HookInput {
  hook_event_name: string
  session_id: string
  cwd: string
  permission_mode?: string
  agent_id?: string
  agent_type?: string
  tool_name?: string
  tool_input?: unknown
  tool_use_id?: string
}

interface HookOutput {
  hookSpecificOutput?:
    | {
        hookEventName: 'PreToolUse'
        permissionDecision: 'allow' | 'deny'
        permissionDecisionReason: string
        updatedInput?: Record<string, unknown>
        additionalContext?: string
      }
    | { hookEventName: 'PostToolUse' | 'PostToolUseFailure'; additionalContext: string }
}

interface HookMatcher {
  hooks: ((input: HookInput, toolUseID: string | undefined, options: { signal: AbortSignal }) => Promise<HookOutput>)[]
  /** Seconds. */
  timeout?: number
  onFailure?: 'block'
}

type PermissionResult =
  | { behavior: 'allow'; updatedInput: Record<string, unknown> }
  | { behavior: 'deny'; message: string }

type CanUseTool = (
  toolName: string,
  input: Record<string, unknown>,
  options: { signal: AbortSignal; toolUseID: string; agentID?: string },
) => Promise<PermissionResult>

/** A hook that ran out of time would let its call through, were it not for `onFailure`: it ends long after its wait. */
const HOOK_TIMEOUT_SECONDS = 7 * 24 * 3600
const MAX_RUNNING = 1000
const MAX_CWD = 300

/**
 * Options for `query`: every tool call is asked about before it runs, in every permission mode. What a person approved
 * runs, with the arguments that were approved; what was allowed without asking is left to Claude Code's own permission
 * rules; everything else is denied, and Claude reads why. Outcomes are reported.
 */
export function guardHooks(client: Guarding, options: GuardClaudeOptions = {}) {
  const running = new Recent<Call>(MAX_RUNNING)
  const PreToolUse: HookMatcher = {
    timeout: HOOK_TIMEOUT_SECONDS,
    onFailure: 'block',
    hooks: [
      async (input, _id, { signal }) => {
        const answer = await ask({ client, options, signal, ...calledBy(input) })
        if ('denied' in answer) return before('deny', answer.denied)
        // Nobody was asked: whether it runs is not ours to say.
        if (answer.approvalId === undefined) return {}
        running.set(input.tool_use_id ?? '', { allowed: answer })
        const args = answer.args as Record<string, unknown>
        return before('allow', `Countersign: approved (${answer.approvalId}).`, {
          updatedInput: args,
          ...(answer.edited ? { additionalContext: editedText(answer) } : {}),
        })
      },
    ],
  }
  return { hooks: { PreToolUse: [PreToolUse], ...afterwards(running) } }
}

/**
 * Options for `query`: only calls that Claude Code would ask its user about are asked about. What its permission mode,
 * its rules or `allowedTools` allow runs unseen. Outcomes are reported.
 */
export function guardPermissions(client: Guarding, options: GuardClaudeOptions = {}) {
  const running = new Recent<Call>(MAX_RUNNING)
  const canUseTool: CanUseTool = async (toolName, input, { signal, toolUseID, agentID }) => {
    const call = { toolName, toolUseId: toolUseID, ...(agentID === undefined ? {} : { agentId: agentID }) }
    const answer = await ask({ client, options, signal, call, input, labels: [] })
    if ('denied' in answer) return { behavior: 'deny', message: answer.denied }
    // There is no other place to tell Claude of edits than beside the result.
    running.set(toolUseID, { allowed: answer, ...(answer.edited ? { note: editedText(answer) } : {}) })
    return { behavior: 'allow', updatedInput: answer.args as Record<string, unknown> }
  }
  return { canUseTool, hooks: afterwards(running) }
}

interface Asked {
  client: Guarding
  options: GuardClaudeOptions
  signal: AbortSignal
  call: ToolCall
  input: unknown
  labels: string[]
}

async function ask({ client, options, signal, call, input, labels }: Asked): Promise<Allowed | { denied: string }> {
  try {
    const known = {
      ...(call.sessionId === undefined ? {} : { session: call.sessionId }),
      // Paths in a call may be relative.
      ...(call.cwd === undefined ? {} : { summary: `in ${call.cwd.slice(0, MAX_CWD)}` }),
      labels: ['claude-code', ...labels],
    }
    const result = await guardCall(client, { tool: call.toolName, args: input as object, call, known, signal }, options)
    return result.effect === 'allow' ? result : { denied: (options.onDenied ?? refusalText)(result, call) }
  } catch (error) {
    // To Claude Code a callback that throws is no answer.
    return { denied: `Countersign: this call was not run. ${error instanceof Error ? error.message : String(error)}` }
  }
}

function calledBy(input: HookInput): Pick<Asked, 'call' | 'input' | 'labels'> {
  const { session_id, cwd, agent_id, agent_type, permission_mode, tool_name, tool_use_id, tool_input } = input
  return {
    call: {
      toolName: tool_name ?? '',
      toolUseId: tool_use_id ?? '',
      sessionId: session_id,
      cwd,
      ...(agent_id === undefined ? {} : { agentId: agent_id }),
    },
    input: tool_input,
    labels: [
      ...(permission_mode === undefined ? [] : [`permission-mode:${permission_mode}`]),
      ...(agent_type === undefined ? [] : [`subagent:${agent_type}`]),
    ],
  }
}

const before = (
  permissionDecision: 'allow' | 'deny',
  permissionDecisionReason: string,
  more: { updatedInput?: Record<string, unknown>; additionalContext?: string } = {},
): HookOutput => ({
  hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision, permissionDecisionReason, ...more },
})

/** What tells the record how approved calls ended. */
function afterwards(running: Recent<Call>) {
  const after = (hookEventName: 'PostToolUse' | 'PostToolUseFailure', outcome: ReportedOutcome): HookMatcher[] => [
    {
      hooks: [
        async ({ tool_use_id = '' }) => {
          const ended = running.get(tool_use_id)
          running.delete(tool_use_id)
          if (ended) await report(ended.allowed, outcome)
          return ended?.note === undefined
            ? {}
            : { hookSpecificOutput: { hookEventName, additionalContext: ended.note } }
        },
      ],
    },
  ]
  return { PostToolUse: after('PostToolUse', 'executed'), PostToolUseFailure: after('PostToolUseFailure', 'failed') }
}

/** An approved call, until it ends; where it is forgotten before, the record says `unknown`. */
interface Call {
  allowed: Allowed
  /** What Claude is to be told beside the result. */
  note?: string
}
