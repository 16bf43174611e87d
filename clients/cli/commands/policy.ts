import { Command, InvalidArgumentError } from 'commander'
import { parseDuration } from '../../../lib/core/duration.ts'
import type { Deps } from '../deps.ts'
import { jsonObject, withConnection } from '../options.ts'
import type { ExplainOptions } from '../policy/explain.ts'
import type { ReplayOptions } from '../policy/replay.ts'

const FILE = 'the policy (default: policy.yaml)'
const FILE_OR_STARTER = 'the policy (default: policy.yaml, if it is there, else the starter policy)'

/** What a policy says, before it is in force. Each verb loads what it needs when it runs. */
export function policyCommand(deps: Deps): Command {
  const command = new Command('policy').description('check, test and explain rules before they are in force')

  command
    .command('check')
    .description('say everything that is wrong with a policy')
    .argument('[file]', FILE)
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, options: { json?: boolean }) =>
      (await import('../policy/check.ts')).check(file, options, deps),
    )

  command
    .command('test')
    .description('judge the actions of a file and compare with what it expects')
    .argument('[file]', FILE_OR_STARTER)
    .requiredOption('--cases <file>', 'a list of {name, action, expect, rule?}, in YAML')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, options: { cases: string; json?: boolean }) =>
      (await import('../policy/test.ts')).test(file, options, deps),
    )

  command
    .command('explain')
    .description('say what becomes of one action: which rules spoke and why, and which came close')
    .argument('[file]', FILE_OR_STARTER)
    .option('--tool <name>', 'the tool')
    .option('--args <json>', 'its arguments', jsonObject)
    .option('--agent <name>', 'who calls it')
    .option('--action <file>', 'the action, in YAML or JSON')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, options: ExplainOptions) =>
      (await import('../policy/explain.ts')).explain(file, options, deps),
    )

  withConnection(command.command('replay'))
    .description('judge recorded actions by another policy, and say what would change')
    .argument('<file>', 'the new policy')
    .option('--since <duration>', 'only what was asked in this time, such as 12h or 7d', duration)
    .option('--actions <file>', 'actions that you kept, one JSON object a line, instead of the records')
    .option('--against <file>', 'with --actions: the policy to compare with (default: policy.yaml)')
    .action(async (file: string, options: ReplayOptions) =>
      (await import('../policy/replay.ts')).replay(file, options, deps),
    )

  return command.addHelpText(
    'after',
    `
Exits 1 when check finds a fault, when a case of test differs, and when replay finds a change.

Examples:
  $ countersign policy check rules.yaml
  $ countersign policy test --cases cases.yaml
  $ countersign policy explain --tool stripe.refund --args '{"amount": 90000}' --agent billing
  $ countersign policy replay rules.new.yaml --since 7d`,
  )
}

function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('It must be a duration such as 30m, 12h or 7d.')
  return ms
}
