import { Command, Option } from 'commander'
import { TOPICS } from '../../../lib/core/events.ts'
import { shownHost } from '../../../lib/core/webhook-url.ts'
import type { Deps } from '../deps.ts'
import type { LocalData, LogLine } from '../local.ts'
import { wholeNumber, withData } from '../options.ts'
import { pause } from '../pause.ts'
import { jsonText, printable } from '../printable.ts'
import { clip } from '../text-width.ts'

interface TailOptions {
  data: string
  json?: boolean
  follow?: boolean
  topic?: string
  limit: number
}

const LOOK_MS = 200
const PAGE = 500

export function logCommand(deps: Deps): Command {
  const command = new Command('log').description('the event log')
  withData(command.command('tail'))
    .description('the newest events, decoded, one line each')
    .option('-f, --follow', 'go on with what comes')
    .addOption(
      new Option('--topic <topic>', 'only this topic').choices([...TOPICS, ...TOPICS.map((topic) => `${topic}.dlq`)]),
    )
    .option('--limit <n>', 'how many to begin with', wholeNumber(0, 1_000_000), 20)
    .action((options: TailOptions) => tail(options, deps))
  return command.addHelpText(
    'after',
    `
Examples:
  $ countersign log tail --follow
  $ countersign log tail --topic approval.decided --limit 100 --json`,
  )
}

async function tail(options: TailOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const interrupted = options.follow ? deps.interrupted() : undefined
  const data = await deps.local.openData(options.data)
  const print = (entry: LogLine) => terminal.out(options.json ? lineJson(entry) : lineText(entry, deps))
  try {
    const head = data.head()
    for (const entry of newest(data, head, options)) print(entry)
    for (let after = head; interrupted && !interrupted.aborted; ) {
      const page = data.log({ after, limit: PAGE, ...topicsOf(options) })
      for (const entry of page) print(entry)
      after = page.at(-1)?.seq ?? after
      if (page.length < PAGE) await pause(LOOK_MS, interrupted)
    }
  } finally {
    await data.close()
  }
}

const topicsOf = ({ topic }: TailOptions) => (topic === undefined ? {} : { topics: [topic] })

/** The last `limit` entries up to `head`: the window is widened until it holds them, or the whole log. */
function newest(data: LocalData, head: number, options: TailOptions): LogLine[] {
  const { limit } = options
  if (limit === 0) return []
  for (let window = limit; ; window *= 8) {
    const after = Math.max(0, head - window)
    const found = data.log({ after, limit: window, ...topicsOf(options) }).filter(({ seq }) => seq <= head)
    if (found.length >= limit || after === 0) return found.slice(-limit)
  }
}

const lineJson = ({ at, headers: _, ...rest }: LogLine): string =>
  jsonText({ ...rest, data: withoutSecret(rest.data), at: new Date(at).toISOString() })

/** A callback is the one thing on the log that may hold a secret. */
function withoutSecret(data: unknown): unknown {
  if (typeof data !== 'object' || data === null || !('callback' in data)) return data
  return typeof data.callback === 'string' ? { ...data, callback: shownHost(data.callback) } : data
}

function lineText(entry: LogLine, { terminal }: Deps): string {
  const { colors } = terminal
  const topic = entry.topic.replace(/^approval\./, '').padEnd(9)
  const head = `${new Date(entry.at).toISOString()}  ${topic}  ${entry.key}`
  const text = printable(entry.error === null ? gist(entry) : `cannot be decoded: ${entry.error}`)
  const width = terminal.width()
  const shown = width === undefined ? text : clip(text, Math.max(12, width - head.length - 2))
  return `${colors.dim(head)}  ${entry.error === null ? shown : colors.red(shown)}`
}

/** What an event says, in a few words. */
function gist({ data }: LogLine): string {
  const fields = data as Record<string, unknown>
  const names = (value: unknown) =>
    Array.isArray(value) ? value.map((actor: { name?: unknown }) => String(actor.name)).join(', ') : ''
  const parts = [
    fields.outcome ?? fields.decision,
    names(fields.decidedBy),
    nameOf(fields.actor),
    nameOf(fields.agent),
    fields.risk,
    summaryOf(fields.action),
    fields.reason,
    fields.detail,
  ]
  return parts.filter((part) => typeof part === 'string' && part !== '').join('  ')
}

const nameOf = (value: unknown): unknown => (value as { name?: unknown } | undefined)?.name
const summaryOf = (value: unknown): unknown => (value as { summary?: unknown } | undefined)?.summary
