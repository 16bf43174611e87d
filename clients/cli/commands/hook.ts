import { Command } from 'commander'
import type { Deps } from '../deps.ts'
import type { InstallOptions } from '../hook/install.ts'
import type { HookOptions } from '../hook/target.ts'
import { wholeNumber } from '../options.ts'

/** Hooks of coding agents. Each verb loads what it needs when it runs: one of them runs before every tool call. */
export function hookCommand(deps: Deps): Command {
  const command = new Command('hook').description('let the hooks of a coding agent ask the gate')

  command
    .command('claude-code')
    .description('answer a hook of Claude Code: its JSON on stdin, the answer on stdout')
    .option('--url <url>', 'the gate (COUNTERSIGN_URL; default: the one of the data directory)')
    .option('--token <key>', 'agent key (COUNTERSIGN_KEY; default: the one of the data directory)')
    .option('--data <dir>', 'data directory', '.countersign')
    .option(
      '--wait <seconds>',
      'how long a person has; must end before the hook’s own timeout',
      wholeNumber(0, 86_400),
      570,
    )
    .action(async (options: HookOptions & { wait: number }) =>
      (await import('../hook/claude-code.ts')).claudeCode(options, deps),
    )

  command
    .command('install')
    .description('add the hooks to the settings of Claude Code')
    .option('--project', 'to .claude/settings.json here')
    .option('--user', 'to ~/.claude/settings.json')
    .option('--url <url>', 'the gate (default: the one of the data directory)')
    .option('--data <dir>', 'data directory of a local server, for its address and its agent key')
    .option('--print', 'print the settings, and write nothing')
    .action(async (options: InstallOptions) => (await import('../hook/install.ts')).install(options, deps))

  return command.addHelpText(
    'after',
    `
claude-code exits 2, which blocks the call, whenever there is no answer of the gate.

Examples:
  $ countersign hook install --project
  $ countersign hook install --user --url https://gate.example.com
  $ countersign doctor`,
  )
}
