import { Command, Option } from 'commander'
import type { ApprovalView, Status } from '../../sdk/index.ts'
import { approvalCard, approvalTable } from '../approval-text.ts'
import { type ConnectionOptions, connect } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import { approvalId, jsonObject, wholeNumber, withConnection } from '../options.ts'
import { jsonText } from '../printable.ts'
import { type DecideOptions, decide } from './decide.ts'
import { type WatchOptions, watch } from './watch.ts'

const STATUSES: Status[] = ['pending', 'approved', 'claimed', 'settled', 'denied', 'expired', 'cancelled']
const RISKS = ['low', 'medium', 'high', 'critical']
const PAGE = 200

type Common = ConnectionOptions & { json?: boolean }
type ListOptions = Common & { status: Status | 'all'; agent?: string; tool?: string; risk?: 'low'; limit: number }

export function approvalsCommand(deps: Deps): Command {
  const command = new Command('approvals').description('what agents ask, and your answers')

  withConnection(command.command('list'))
    .description('list approvals, newest first')
    .addOption(
      new Option('--status <status>', 'only with this status').choices([...STATUSES, 'all']).default('pending'),
    )
    .option('--agent <name>', 'only of this agent')
    .option('--tool <name>', 'only of this tool')
    .addOption(new Option('--risk <risk>', 'only with this risk').choices(RISKS))
    .option('--limit <n>', 'at most this many', wholeNumber(1, 100_000), 50)
    .action((options: ListOptions) => list(options, deps))

  withConnection(command.command('show'))
    .description('one approval: arguments, why it was asked, votes, history')
    .argument('<id>', 'approval id', approvalId)
    .action(([id = '']: string[], options: Common) => show(id, options, deps))

  for (const decision of ['approve', 'deny'] as const) {
    const verb = withConnection(command.command(decision))
      .description(`${decision} one or several`)
      .argument('[ids...]', 'approval ids', approvalId)
      .option('--reason <text>', 'why; the agent gets to read it')
      .option('--all-pending', 'everything that is pending now; shows the list first')
      .option('-y, --yes', 'do not ask before deciding several')
    if (decision === 'approve')
      verb
        .option('--edits <json>', 'approve with other arguments: a JSON merge patch (RFC 7396)', jsonObject)
        .option('--suggested', 'approve with the arguments that an evaluator suggests')
    verb.action((ids: string[] | undefined, options: DecideOptions) => decide(decision, ids ?? [], options, deps))
  }

  withConnection(command.command('expire'))
    .description('expire everything whose time is over, without waiting for the sweeper (admin)')
    .requiredOption('--all-stale', 'all that is overdue')
    .action((options: Common) => expire(options, deps))

  withConnection(command.command('watch'))
    .description('show what is asked as it comes, and what becomes of it; on a terminal, decide by keys')
    .action((options: WatchOptions) => watch(options, deps))

  return command.addHelpText(
    'after',
    `
Examples:
  $ countersign approvals list
  $ countersign approvals approve apr_0dqsvm0v6ze5d9xkm4kk1xwz3b --reason "checked with ops"
  $ countersign approvals approve apr_0dqsvm0v6ze5d9xkm4kk1xwz3b --edits '{"amount": 50}'
  $ countersign approvals deny --all-pending --yes --reason "end of day"
  $ countersign approvals list --status denied --json | jq '.items[].action.summary'`,
  )
}

async function list(options: ListOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { client } = await connect(options, deps)
  const { status, agent, tool, risk, limit } = options
  const items: ApprovalView[] = []
  let after: string | undefined
  do {
    const page = await client.approvals.list({
      ...(status === 'all' ? {} : { status }),
      ...(agent === undefined ? {} : { agent }),
      ...(tool === undefined ? {} : { tool }),
      ...(risk === undefined ? {} : { risk }),
      ...(after === undefined ? {} : { after }),
      limit: Math.min(PAGE, limit - items.length),
    })
    items.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined && items.length < limit)

  if (options.json) return terminal.out(jsonText({ items, ...(after === undefined ? {} : { next: after }) }, 2))
  if (items.length === 0) return terminal.err(status === 'all' ? 'No approvals yet.' : `Nothing is ${status}.`)
  const style = { colors: terminal.colors, now: deps.now(), width: terminal.width() }
  for (const line of approvalTable(items, style)) terminal.out(line)
  if (after !== undefined) terminal.err(`There are more: --limit ${limit * 4}`)
}

async function show(id: string, options: Common, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { client } = await connect(options, deps)
  const approval = await client.approvals.get(id)
  if (options.json) return terminal.out(jsonText(approval, 2))
  const style = { colors: terminal.colors, now: deps.now(), width: terminal.width() }
  for (const line of approvalCard(approval, style)) terminal.out(line)
  if (approval.status !== 'pending') return
  terminal.err(`\nDecide: countersign approvals approve|deny ${id}`)
  if (approval.suggestion) terminal.err(`As suggested: countersign approvals approve ${id} --suggested`)
}

async function expire(options: Common, deps: Deps): Promise<void> {
  const { client } = await connect(options, deps)
  const { expired } = await client.approvals.expire({ allStale: true })
  if (!Number.isInteger(expired)) throw new CliError('The server gave an answer that is not understood.', 3)
  deps.terminal.out(options.json ? jsonText({ expired }) : `${expired} expired`)
}
