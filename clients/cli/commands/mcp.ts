import { Command } from 'commander'
import type { Deps } from '../deps.ts'
import type { McpOptions } from '../mcp/bridge.ts'

/** An MCP server of the gate, for clients that start their servers by a command. */
export const mcpCommand = (deps: Deps): Command =>
  new Command('mcp')
    .description('be an MCP server on stdin and stdout: the one that the gate has by this name')
    .requiredOption('--server <name>', 'name of the server in the gate’s countersign.yaml')
    .option('--url <url>', 'the gate (COUNTERSIGN_URL; default: the one of the data directory)')
    .option('--token <key>', 'agent key (COUNTERSIGN_KEY; default: the one of the data directory)')
    .option('--data <dir>', 'data directory', '.countersign')
    .addHelpText(
      'after',
      `
Give this command to an MCP client in place of the server's own. Logs go to stderr.

Example:
  $ countersign mcp --server files`,
    )
    .action(async (options: McpOptions) => (await import('../mcp/bridge.ts')).bridge(options, deps))
