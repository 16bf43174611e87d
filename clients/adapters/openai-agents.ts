import {
  type FunctionTool,
  invokeFunctionTool,
  type RunContext,
  type ToolInputParameters,
  type ToolOptions,
  type ToolOutputSchema,
  tool as toolOf,
} from '@openai/agents-core'
import type { Denied } from '../sdk/guard.ts'
import { report } from '../sdk/run.ts'
import type { ReportedOutcome } from '../sdk/types.ts'
import { type CallGuardOptions, CallRefused, editedText, type Guarding, guardCall, refusalText } from './call-guard.ts'

export { CallRefused } from './call-guard.ts'

/** A call as the Agents SDK tells of it. */
export interface ToolCall<Context = unknown> {
  toolName: string
  callId: string | undefined
  runContext: RunContext<Context>
}

export interface GuardToolOptions<Context = unknown> extends CallGuardOptions<ToolCall<Context>> {
  /**
   * The output of a denied call. Default: a text that tells the model why; for a tool with an `outputSchema`, what its
   * `errorFunction` makes of CallRefused, which is thrown where there is none.
   */
  onDenied?(denial: Denied, call: ToolCall<Context>): unknown
}

// biome-ignore lint/suspicious/noExplicitAny: of any context and result.
type AnyTool<P extends ToolInputParameters = any> = FunctionTool<any, P, any>
type Details = Parameters<AnyTool['invoke']>[2]

interface Ending {
  outcome: ReportedOutcome
  error?: unknown
}

/** How calls ended, by the runner's object for each: a tool's `invoke` tells errors as if they were results. */
type Endings = WeakMap<object, Ending>

/**
 * `tool()` behind a gate: it takes the same options, and the tool runs only when its call is allowed, with the
 * arguments that were approved; its outcome is reported. The model is told of a denial, and of arguments that a person
 * changed. `timeoutMs` of the tool starts when it runs, not when it asks.
 *
 * Takes a finished function tool too (of an MCP server, of an agent). Such a tool tells its errors as results, so that
 * the record says `executed` of them.
 */
export function guardTool<
  P extends ToolInputParameters,
  Context = unknown,
  O extends ToolOutputSchema | undefined = undefined,
>(
  client: Guarding,
  toolOrOptions: ToolOptions<P, Context, O> | FunctionTool<Context, P>,
  options: GuardToolOptions<Context> = {},
): FunctionTool<Context, P> {
  const endings: Endings = new WeakMap()
  const isFinished = 'invoke' in toolOrOptions
  const tool: AnyTool<P> = isFinished ? toolOrOptions : toolOf(watched(toolOrOptions, endings))

  function endingOf(toolCall: object | undefined, otherwise: ReportedOutcome): Ending {
    if (isFinished || toolCall === undefined) return { outcome: otherwise }
    // The arguments did not fit, so that it was never started.
    return endings.get(toolCall) ?? { outcome: 'not_executed' }
  }

  async function invoke(runContext: RunContext<Context>, input: string, details?: Details): Promise<unknown> {
    const args = objectOf(input)
    // What is not an object no rule can judge.
    if (args === undefined) return 'Countersign: this call was not run. Its arguments are not a JSON object.'
    const call = { toolName: tool.name, callId: details?.toolCall?.callId, runContext }
    const result = await guardCall(client, { tool: tool.name, args, call, signal: details?.signal }, options)
    if (result.effect === 'deny') {
      if (options.onDenied) return options.onDenied(result, call)
      if (!tool.outputSchema) return refusalText(result)
      const refused = new CallRefused(result)
      if (!tool.errorFunction) throw refused
      return tool.errorFunction(runContext, refused, details)
    }

    const approved = JSON.stringify(result.args)
    let output: unknown
    try {
      output = await invokeFunctionTool({ tool, runContext, input: approved, ...(details ? { details } : {}) })
    } catch (error) {
      await report(result, endingOf(details?.toolCall, 'failed').outcome, error)
      throw error
    }
    const { outcome, error } = endingOf(details?.toolCall, 'executed')
    await report(result, outcome, error)
    return result.edited && !tool.outputSchema ? withNote(output, editedText(result)) : output
  }

  // The runner would count the time of the question too.
  const { timeoutMs: _timeoutMs, ...rest } = tool
  return { ...rest, invoke }
}

type Execute = (input: unknown, runContext?: RunContext<unknown>, details?: Details) => unknown

function watched<P extends ToolInputParameters, Context, O extends ToolOutputSchema | undefined>(
  options: ToolOptions<P, Context, O>,
  endings: Endings,
): ToolOptions<P, Context, O> {
  const run = options.execute as Execute
  const execute: Execute = async (input, runContext, details) => {
    const end = (ending: Ending) => details?.toolCall && endings.set(details.toolCall, ending)
    // A tool that its own timeout cuts short has begun.
    end({ outcome: 'failed' })
    try {
      const output = await run(input, runContext, details)
      end({ outcome: 'executed' })
      return output
    } catch (error) {
      end({ outcome: 'failed', error })
      throw error
    }
  }
  return { ...options, name: options.name ?? options.execute.name, execute } as ToolOptions<P, Context, O>
}

function objectOf(input: string): object | undefined {
  try {
    const args: unknown = JSON.parse(input)
    return typeof args === 'object' && args !== null && !Array.isArray(args) ? args : undefined
  } catch {
    return undefined
  }
}

/** Texts, images and files stay what they are; the model reads everything else as text. */
function withNote(output: unknown, note: string): unknown {
  if (typeof output === 'string') return `${output}\n\n${note}`
  const parts: unknown[] = Array.isArray(output) ? output : [output]
  if (parts.length > 0 && parts.every(isPart)) return [...parts, { type: 'text', text: note }]
  return `${output === undefined ? '' : JSON.stringify(output)}\n\n${note}`
}

const isPart = (part: unknown): boolean =>
  typeof part === 'object' && part !== null && 'type' in part && ['text', 'image', 'file'].includes(String(part.type))
