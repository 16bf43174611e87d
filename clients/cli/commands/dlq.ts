import { Command, InvalidArgumentError, Option } from 'commander'
import { TOPICS, type Topic } from '../../../lib/core/events.ts'
import type { Deps } from '../deps.ts'
import { CliError, usageError } from '../failure.ts'
import type { DeadLetterInfo } from '../local.ts'
import { wholeNumber, withData } from '../options.ts'
import { jsonText, printable } from '../printable.ts'
import { table } from '../table.ts'

interface Common {
  data: string
  config?: string
  json?: boolean
  topic?: Topic
}
type ListOptions = Common & { limit: number }
type Place = { partition: number; offset: number }
type RedriveOptions = Common & { all?: boolean; offset?: Place }

/** Events that could not be handled: of the fleet that the environment names, else of a data directory. */
export function dlqCommand(deps: Deps): Command {
  const command = new Command('dlq').description('dead letters: events that could not be handled')

  withTopic(command.command('list'))
    .description('those that were not sent back, oldest first, and why')
    .option('--limit <n>', 'how many at most', wholeNumber(1, 100_000), 100)
    .action((options: ListOptions) => list(options, deps))

  withTopic(command.command('redrive'))
    .description('put them on their topic again, when what stopped them is mended (fleets)')
    .option('--all', 'all that were not sent back yet')
    .addOption(
      new Option('--offset <partition:offset>', 'one of --topic, as `dlq list` names it')
        .argParser(placeOf)
        .conflicts('all'),
    )
    .action((options: RedriveOptions) => redrive(options, deps))

  return command.addHelpText(
    'after',
    `
With KAFKA_BROKERS set they are those of the fleet, else those of the data directory.

Examples:
  $ countersign dlq list
  $ countersign dlq redrive --topic approval.requested --offset 0:17
  $ countersign dlq redrive --all`,
  )
}

const withTopic = (command: Command): Command =>
  withData(command)
    .option('--config <file>', 'configuration, for topics.prefix (default: countersign.yaml, if it is there)')
    .addOption(new Option('--topic <topic>', 'only what could not be handled of this topic').choices(TOPICS))

function placeOf(text: string): Place {
  const [, partition, offset] = /^(\d{1,6}):(\d{1,15})$/.exec(text) ?? []
  if (partition === undefined || offset === undefined)
    throw new InvalidArgumentError('It must be partition:offset, as 0:17.')
  return { partition: Number(partition), offset: Number(offset) }
}

const topicsOf = ({ topic }: Common): readonly Topic[] => (topic === undefined ? TOPICS : [topic])
const configOf = ({ config }: Common) => (config === undefined ? {} : { configFile: config })

async function list(options: ListOptions, { local, terminal }: Deps): Promise<void> {
  const { data, limit } = options
  const query = { topics: topicsOf(options), limit, ...configOf(options) }
  const letters = (await local.deadLetters(data, query)).map(({ at, ...rest }) => ({
    ...rest,
    at: new Date(at).toISOString(),
  }))
  if (options.json) return terminal.out(jsonText({ items: letters }, 2))
  if (letters.length === 0) return terminal.err('There are no dead letters.')
  const lines = table(COLUMNS, letters, { width: terminal.width(), paintHead: terminal.colors.bold })
  for (const line of lines) terminal.out(line)
  if (letters.length === limit) terminal.err(`\nThe oldest ${limit}; --limit shows more.`)
}

type Row = Omit<DeadLetterInfo, 'at'> & { at: string }

const COLUMNS = [
  { head: 'TOPIC', cell: ({ topic }: Row) => topic },
  { head: 'OFFSET', cell: ({ partition, offset }: Row) => `${partition}:${offset}` },
  { head: 'WHEN', cell: ({ at }: Row) => at },
  { head: 'APPROVAL', cell: ({ key }: Row) => printable(key) || '-', most: 30 },
  { head: 'ATTEMPTS', cell: ({ attempts }: Row) => String(attempts) },
  { head: 'CAUSE', cell: ({ cause }: Row) => printable(cause) },
]

async function redrive(options: RedriveOptions, { local, terminal }: Deps): Promise<void> {
  const { all, offset, topic, json } = options
  if (!all && offset === undefined) throw usageError('Say which: --all, or one with --topic and --offset.')
  if (offset !== undefined && topic === undefined) throw usageError('--offset needs --topic.')
  const count = await local.redrive({
    topics: topicsOf(options),
    ...(offset === undefined ? {} : { only: offset }),
    ...configOf(options),
  })
  if (offset !== undefined && count === 0)
    throw new CliError(
      `There is no dead letter of ${topic} at ${offset.partition}:${offset.offset} that was not sent back already.`,
      1,
    )
  terminal.out(json ? jsonText({ sentBack: count }) : `${count} sent back`)
}
