import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import { askGate, type HookInput } from './gate.ts'
import { type HookOptions, hookTarget } from './target.ts'

/**
 * Passes the hook's JSON from stdin to the gate, and its answer to stdout. Whatever goes wrong before there is an answer
 * exits with 2: the one code that blocks the call (https://code.claude.com/docs/en/hooks).
 */
export async function claudeCode(options: HookOptions & { wait: number }, deps: Deps): Promise<void> {
  let event: string | undefined
  // An answer that nobody reads would pass for none, and none lets the call through.
  process.stdout.prependListener('error', () => process.exit(2))
  try {
    const given = await deps.input()
    const hook = readHook(given)
    event = hook.event
    const target = await hookTarget(options, deps)
    deps.terminal.out(await askGate(target, hook, options.wait))
  } catch (error) {
    const message = `Countersign: ${error instanceof Error ? error.message : String(error)}`
    // Nothing is left to block, and 2 would talk to the model: the user gets to read it.
    if (event?.startsWith('PostToolUse')) throw new CliError(message, 1)
    // For this event 2 alone leaves the question with the user; a decision denies it.
    if (event === 'PermissionRequest') deps.terminal.out(denial(message))
    throw new CliError(`${message}\nThe call was blocked. Nothing was done.`, 2)
  }
}

const denial = (message: string): string =>
  JSON.stringify({
    hookSpecificOutput: { hookEventName: 'PermissionRequest', decision: { behavior: 'deny', message } },
  })

/** The bytes as they came: the gate judges what was sent. What a tool answered does not leave the machine. */
function readHook(given: Uint8Array<ArrayBuffer>): HookInput {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(given))
  } catch {
    return { event: undefined, body: given }
  }
  const name: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'hook_event_name') : undefined
  const event = typeof name === 'string' ? name : undefined
  if (!event?.startsWith('PostToolUse')) return { event, body: given }
  const { tool_response: _, ...rest } = value as Record<string, unknown>
  return { event, body: JSON.stringify(rest) }
}
