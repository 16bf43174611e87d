import { Command, CommanderError } from 'commander'
import { approvalsCommand } from './commands/approvals.ts'
import { auditCommand } from './commands/audit.ts'
import { demoCommand } from './commands/demo.ts'
import { dlqCommand } from './commands/dlq.ts'
import { doctorCommand } from './commands/doctor.ts'
import { hookCommand } from './commands/hook.ts'
import { keysCommand } from './commands/keys.ts'
import { logCommand } from './commands/log.ts'
import { loginCommand } from './commands/login.ts'
import { mcpCommand } from './commands/mcp.ts'
import { policyCommand } from './commands/policy.ts'
import { serviceCommands } from './commands/service.ts'
import { upCommand } from './commands/up.ts'
import { webhooksCommand } from './commands/webhooks.ts'
import type { Deps } from './deps.ts'
import { type ExitCode, exitOf, explain } from './failure.ts'

/** The `countersign` command. Actions reject with what `run` turns into an exit code. */
export function createProgram(deps: Deps): Command {
  const { terminal } = deps
  const program = new Command('countersign')
    .description('A person between an AI agent and a dangerous action.')
    .version(deps.version)
    .showHelpAfterError('(--help says more)')
    .addHelpText(
      'after',
      `
Examples:
  $ countersign demo                       see it work
  $ countersign up                         run it on this machine
  $ countersign approvals watch            decide as calls come in
  $ countersign keys create --name builder --role agent

Exit codes: 0 done, 1 refused or found bad, 2 usage or configuration, 3 unreachable.`,
    )
  const commands = [upCommand, demoCommand, approvalsCommand, keysCommand, loginCommand, auditCommand, logCommand]
  for (const make of [...commands, policyCommand, webhooksCommand, dlqCommand, hookCommand, mcpCommand, doctorCommand])
    program.addCommand(make(deps))
  for (const command of serviceCommands(deps)) program.addCommand(command)
  for (const command of allCommands(program))
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.out(text.replace(/\n$/, '')),
      writeErr: (text) => terminal.err(text.replace(/\n$/, '')),
      getOutHelpWidth: () => terminal.width() ?? 100,
      getErrHelpWidth: () => terminal.width() ?? 100,
    })
  return program
}

/** Runs one command line (without node and script) and resolves with its exit code. Never rejects. */
export async function run(args: readonly string[], deps: Deps): Promise<ExitCode> {
  try {
    await createProgram(deps).parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    // Commander has said what is wrong; asked for help or version, it has said that.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    deps.terminal.err(explain(error))
    return exitOf(error)
  }
}

function* allCommands(command: Command): Generator<Command> {
  yield command
  for (const child of command.commands) yield* allCommands(child)
}
