import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { deserializeMessage, type JSONRPCMessage } from '@modelcontextprotocol/client'
import type { Deps } from '../deps.ts'
import { type HookOptions, hookTarget } from '../hook/target.ts'
import { pause } from '../pause.ts'
import { GateSession } from './gate-session.ts'

/** How long answers that are under way are waited for when the client has closed stdin. */
const LAST_ANSWERS_MS = 2_000

export interface McpOptions extends HookOptions {
  server: string
}

/**
 * An MCP server on stdin and stdout that is the gate's `/mcp/{server}`: one message a line, and words for people on stderr.
 * Resolves when the client closes stdin, or at SIGINT and SIGTERM.
 */
export async function bridge(options: McpOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const target = await hookTarget(options, deps)
  const tell = (message: JSONRPCMessage) => terminal.out(JSON.stringify(message))
  const session = new GateSession({
    target,
    server: options.server,
    version: deps.version,
    tell,
    log: (line) => terminal.err(line),
  })
  const stop = deps.interrupted()
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
  // What is no request is handed over before what comes after it: `initialized` before the first call.
  let before = Promise.resolve()
  lines.on('line', (line) => {
    if (line.trim() === '') return
    let message: JSONRPCMessage
    try {
      message = deserializeMessage(line)
    } catch {
      tell({ jsonrpc: '2.0', error: { code: -32700, message: 'The line is no JSON-RPC message of MCP.' } })
      return
    }
    before = before.then(() => {
      const sent = session.send(message)
      return 'method' in message && 'id' in message ? undefined : sent
    })
  })
  await Promise.race([once(lines, 'close'), aborted(stop)])
  lines.close()
  const deadline = deps.now() + LAST_ANSWERS_MS
  await before
  while (session.waiting > 0 && !stop.aborted && deps.now() < deadline) await pause(20, stop)
  await session.close()
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
