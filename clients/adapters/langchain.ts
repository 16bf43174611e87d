import { createMiddleware, ToolInvocationError, ToolMessage } from 'langchain'
import type { Denied } from '../sdk/guard.ts'
import { runAllowed } from '../sdk/run.ts'
import { type CallGuardOptions, editedText, type Guarding, guardCall, refusalText } from './call-guard.ts'

/** A call as LangChain tells of it. */
export interface ToolCall {
  id: string | undefined
  name: string
  args: Record<string, unknown>
  /** What the agent was invoked with. */
  context: unknown
  configurable: { thread_id?: string; [key: string]: unknown } | undefined
}

export interface CountersignMiddlewareOptions extends CallGuardOptions<ToolCall> {
  /** Only these tools are guarded. Default: all. */
  tools?: readonly string[]
  /** What the model reads of a denied call. */
  onDenied?(denial: Denied, call: ToolCall): string
}

/**
 * Middleware for `createAgent`: a tool runs only when its call is allowed, with the arguments that were approved, and
 * its outcome is reported. The model is told of a denial, and of arguments that a person changed. `thread_id` is the
 * session. Put it last in `middleware`, so that what others change is what is asked about.
 */
export function countersignMiddleware(client: Guarding, options: CountersignMiddlewareOptions = {}) {
  const { tools, onDenied = refusalText } = options
  return createMiddleware({
    name: 'Countersign',
    async wrapToolCall(request, handler) {
      const { toolCall, runtime } = request
      const { id, name, args } = toolCall
      if (tools && !tools.includes(name)) return handler(request)

      const { context, configurable, signal } = runtime
      const call: ToolCall = { id, name, args, context, configurable }
      const known = configurable?.thread_id === undefined ? {} : { session: configurable.thread_id }
      const result = await guardCall(client, { tool: name, args, call, known, signal }, options)
      if (result.effect === 'deny')
        return new ToolMessage({
          content: onDenied(result, call),
          tool_call_id: id ?? '',
          name,
          status: 'error',
        })

      const { value } = await runAllowed(
        result,
        () => handler({ ...request, toolCall: { ...toolCall, args: result.args } }),
        (error) => (hasNotRun(error) ? 'not_executed' : 'failed'),
      )
      return result.edited && ToolMessage.isInstance(value) ? withNote(value, editedText(result)) : value
    },
  })
}

/** The arguments do not fit the tool; or it interrupts its graph, and runs anew when that goes on. */
const hasNotRun = (error: unknown): boolean =>
  error instanceof ToolInvocationError || (error instanceof Error && error.name === 'GraphInterrupt')

function withNote(message: ToolMessage, note: string): ToolMessage {
  const { content } = message
  message.content =
    typeof content === 'string' ? `${content}\n\n${note}` : [...content, { type: 'text' as const, text: note }]
  return message
}
