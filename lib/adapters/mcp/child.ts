import { StringDecoder } from 'node:string_decoder'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import type { Json, JsonObject } from '../../core/canonical-json.ts'
import { redactText } from '../../core/preview.ts'
import { MAX_MESSAGE_BYTES } from './limits.ts'

/** Where servers say what they have to say of themselves; a pino logger fits. */
export interface McpLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface ChildSettings {
  name: string
  command: string
  args: readonly string[]
  env: Readonly<Record<string, string>>
  cwd: string | undefined
}

/** One life of a server's process. */
export interface Child {
  /** Rejects when the process is gone, also while it is being written. */
  send(message: JsonObject): Promise<void>
  close(): Promise<void>
}

/**
 * Starts a server's process with a minimal environment (PATH, HOME and their like) and its own variables; rejects when it
 * cannot be started. Its stderr goes to the log, masked and cut.
 */
export async function startChild(
  { name, command, args, env, cwd }: ChildSettings,
  { log, onMessage, onEnd }: { log: McpLog; onMessage: (message: JsonObject) => void; onEnd: () => void },
): Promise<Child> {
  const transport = new StdioClientTransport({
    command,
    args: [...args],
    env: { ...env },
    stderr: 'pipe',
    maxBufferSize: MAX_MESSAGE_BYTES,
    ...(cwd === undefined ? {} : { cwd }),
  })
  const say = lineLogger((line) => log.info({ server: name, line }, 'an MCP server wrote to stderr'))
  transport.stderr?.on('data', say)
  transport.onmessage = (message) => onMessage(message as unknown as JsonObject)
  let leave = (_: Error) => {}
  // The transport waits for a full pipe to drain, which that of a process that is gone never does.
  const gone = new Promise<never>((_, reject) => {
    leave = reject
  })
  gone.catch(() => {})
  transport.onclose = () => {
    leave(new Error('its process ended'))
    onEnd()
  }
  transport.onerror = (error) => {
    // Nobody reads any more, while something that it started may still hold its output open.
    if ('code' in error && error.code === 'EPIPE') leave(error)
    log.warn({ server: name, err: error }, 'an MCP server said what is no message')
  }
  await transport.start()
  return {
    send: (message) => Promise.race([transport.send(message as unknown as Parameters<typeof transport.send>[0]), gone]),
    close: () => transport.close(),
  }
}

const MAX_LINE = 500
const MAX_LINES = 1_000

/** Hands on whole lines, at most so many of at most so many characters: a server that chatters fills no disk. */
function lineLogger(log: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let lines = 0
  return (chunk) => {
    const parts = `${rest}${decoder.write(chunk)}`.split('\n')
    rest = (parts.pop() ?? '').slice(0, MAX_LINE)
    for (const part of parts) {
      if (lines > MAX_LINES) return
      lines++
      if (lines > MAX_LINES) log('… what it writes from here on is not logged')
      else if (part.trim() !== '') log(redactText(part.slice(0, MAX_LINE)))
    }
  }
}

export const isRequest = (message: JsonObject): boolean => 'method' in message && 'id' in message
export const isResponse = (message: JsonObject): boolean => !('method' in message) && 'id' in message

/** One key for ids and tokens of JSON-RPC, of which `1` and `"1"` are two. */
export const keyOf = (id: Json | undefined): string => JSON.stringify(id ?? null)
