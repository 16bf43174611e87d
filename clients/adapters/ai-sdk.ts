import { asSchema, type Tool, type ToolSet } from 'ai'
import type { Allowed, Denied } from '../sdk/guard.ts'
import { report, runAllowed } from '../sdk/run.ts'
import type { ReportedOutcome } from '../sdk/types.ts'
import { type CallGuardOptions, CallRefused, editedText, type Guarding, guardCall } from './call-guard.ts'
import { Recent } from './recent.ts'

export { CallRefused } from './call-guard.ts'

type Execute = NonNullable<Tool['execute']>
type Execution = Parameters<Execute>[1]

/** A call as the AI SDK tells of it. */
export type ToolCall = Execution & { toolName: string }

export interface GuardToolsOptions extends CallGuardOptions<ToolCall> {
  /** The output of a denied call. Default: the call throws CallRefused, so that the model reads why, as of any error. */
  onDenied?(denial: Denied, call: ToolCall): unknown
}

/** What to tell the model of edits, by tool call. */
type Notes = Recent<string>
const MAX_NOTES = 1000

/** Tools without an `execute` run elsewhere: there is nothing here to hold. */
type Runnable = Tool & { execute: Execute }

/**
 * The tools behind a gate: each runs only when its call is allowed, with the arguments that were approved, and its
 * outcome is reported. The model is told of a denial, and of arguments that a person changed. A tool without `execute`
 * (of the provider, or of the user's side) is passed on as it is.
 */
export function guardTools<T extends ToolSet>(client: Guarding, tools: T, options: GuardToolsOptions = {}): T {
  const notes: Notes = new Recent(MAX_NOTES)
  const guarded = Object.entries(tools).map(([name, tool]) => [
    name,
    tool.execute ? guardTool({ client, name, tool: tool as Runnable, options, notes }) : tool,
  ])
  return Object.fromEntries(guarded) as T
}

interface Guarded {
  client: Guarding
  name: string
  tool: Runnable
  options: GuardToolsOptions
  notes: Notes
}

function guardTool({ client, name, tool, options, notes }: Guarded): Tool {
  async function ask(input: object, call: ToolCall) {
    // Some models count their calls anew in every conversation.
    notes.delete(call.toolCallId)
    const result = await guardCall(client, { tool: name, args: input, call, signal: call.abortSignal }, options)
    if (result.effect === 'allow' && result.edited) {
      await mustFit(result)
      notes.set(call.toolCallId, editedText(result))
    }
    return result
  }

  /** What a person made of the arguments must be what the tool takes. */
  async function mustFit(result: Allowed) {
    const checked = await asSchema(tool.inputSchema).validate?.(result.args)
    if (checked === undefined || checked.success) return
    await report(result, 'not_executed', checked.error)
    throw new Error('Countersign: this call was not run. The arguments that a person changed do not fit the tool.')
  }

  function denied(denial: Denied, call: ToolCall): unknown {
    if (options.onDenied) return options.onDenied(denial, call)
    throw new CallRefused(denial)
  }

  async function execute(input: object, more: Execution): Promise<unknown> {
    const call = { ...more, toolName: name }
    const result = await ask(input, call)
    if (result.effect === 'deny') return denied(result, call)
    return (await runAllowed(result, () => lastOf(tool.execute(result.args, more)))).value
  }

  /** A tool that streams its output goes on streaming it. */
  async function* stream(input: object, more: Execution): AsyncGenerator<unknown> {
    const call = { ...more, toolName: name }
    const result = await ask(input, call)
    if (result.effect === 'deny') {
      yield denied(result, call)
      return
    }
    // Whoever reads may stop before the end, which is no error and no success either.
    let outcome: ReportedOutcome = 'failed'
    let failure: unknown
    try {
      yield* tool.execute(result.args, more) as AsyncIterable<unknown>
      outcome = 'executed'
    } catch (error) {
      failure = error
      throw error
    } finally {
      await report(result, outcome, failure)
    }
  }

  return {
    ...tool,
    execute: isGenerator(tool.execute) ? stream : execute,
    toModelOutput: async (told: Told) => withNote(await modelOutput(tool, told), notes.get(told.toolCallId)),
  } as Tool
}

type ToModelOutput = NonNullable<Tool['toModelOutput']>
type Told = Parameters<ToModelOutput>[0]
type ModelOutput = Awaited<ReturnType<ToModelOutput>>

/** As the AI SDK does it by itself. */
async function modelOutput(tool: Tool, told: Told): Promise<ModelOutput> {
  if (tool.toModelOutput) return tool.toModelOutput(told)
  const { output } = told
  return typeof output === 'string' ? { type: 'text', value: output } : { type: 'json', value: output ?? null }
}

function withNote(output: ModelOutput, note: string | undefined): ModelOutput {
  if (note === undefined) return output
  switch (output.type) {
    case 'text':
    case 'error-text':
      return { ...output, value: `${output.value}\n\n${note}` }
    case 'json':
    case 'error-json':
      return {
        type: output.type === 'json' ? 'text' : 'error-text',
        value: `${JSON.stringify(output.value)}\n\n${note}`,
      }
    case 'content':
      return { ...output, value: [...output.value, { type: 'text', text: note }] }
    default:
      return output
  }
}

const isGenerator = (execute: unknown): boolean =>
  typeof execute === 'function' && execute.constructor.name === 'AsyncGeneratorFunction'

async function lastOf(output: unknown): Promise<unknown> {
  if (typeof output !== 'object' || output === null || !(Symbol.asyncIterator in output)) return output
  let last: unknown
  for await (const each of output as AsyncIterable<unknown>) last = each
  return last
}
