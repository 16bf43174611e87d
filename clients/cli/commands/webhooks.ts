import { Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../../../lib/core/duration.ts'
import { RISKS } from '../../../lib/core/events.ts'
import { NOTIFICATION_TYPES } from '../../../lib/core/notification.ts'
import { DELIVERY_STATUSES } from '../../../lib/ports/delivery-store.ts'
import type { ConnectionOptions } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { CliError, usageError } from '../failure.ts'
import { wholeNumber, withConnection } from '../options.ts'
import { pause } from '../pause.ts'
import { jsonText, printable } from '../printable.ts'
import {
  type DeliveryView,
  type WebhookSettings,
  type WebhooksApi,
  type WebhookView,
  webhooksApi,
} from '../webhooks/api.ts'
import { deliveryTable, latestOf, webhookCard, webhookTable } from '../webhooks/text.ts'

type Common = ConnectionOptions & { json?: boolean }
interface Settings {
  description?: string
  events?: string[]
  tools?: string[]
  risks?: string[]
  callbackAs?: string | false
}
type UpdateOptions = Common & Settings & { to?: string; off?: boolean; on?: boolean }

const LOOK_EVERY_MS = 200
const DAY = '24h'

/** Endpoints that are told of approvals by HTTP, and what became of it. */
export function webhooksCommand(deps: Deps): Command {
  const command = new Command('webhooks').description(
    'endpoints that are told of approvals, and their deliveries (admin)',
  )

  withConnection(command.command('list'))
    .description('list endpoints and how they are doing')
    .action((options: Common) => list(options, deps))

  withConnection(command.command('show'))
    .description('one endpoint')
    .argument('<id>', 'endpoint id')
    .action((id: string, options: Common) => show(id, options, deps))

  withSettings(withConnection(command.command('create')))
    .description('make an endpoint; its secret is shown once')
    .argument('<endpoint-url>', 'where it is told: https://…')
    .action((url: string, options: Common & Settings) => create(url, options, deps))

  withSettings(withConnection(command.command('update')))
    .description('change an endpoint')
    .argument('<id>', 'endpoint id')
    .option('--to <endpoint-url>', 'where it is told')
    .option('--off', 'send nothing until it is switched on')
    .addOption(new Option('--on', 'send again').conflicts('off'))
    .action((id: string, options: UpdateOptions) => update(id, options, deps))

  withConnection(command.command('delete'))
    .description('delete an endpoint, and end what waits for it')
    .argument('<id>', 'endpoint id')
    .action((id: string, options: Common) => remove(id, options, deps))

  withConnection(command.command('rotate'))
    .description('make a new secret; it is shown once')
    .argument('<id>', 'endpoint id')
    .option('--overlap <time>', 'how long the old one goes on signing beside it', durationOf, durationOf(DAY))
    .action((id: string, options: Common & { overlap: number }) => rotate(id, options, deps))

  withConnection(command.command('test'))
    .description('send a test and say what came of it')
    .argument('<id>', 'endpoint id')
    .option('--wait <seconds>', 'how long to wait for the answer', wholeNumber(0, 300), 20)
    .action((id: string, options: Common & { wait: number }) => test(id, options, deps))

  withConnection(command.command('enable'))
    .description('switch an endpoint on that was switched off, by a person or by itself')
    .argument('<id>', 'endpoint id')
    .action((id: string, options: Common) => enable(id, options, deps))

  withConnection(command.command('deliveries'))
    .description('what it was sent, newest first, and what came of it')
    .argument('<id>', 'endpoint id')
    .addOption(new Option('--status <status>', 'only with this status').choices(DELIVERY_STATUSES))
    .option('--limit <n>', 'at most this many', wholeNumber(1, 100_000), 50)
    .action((id: string, options: Common & { status?: string; limit: number }) => deliveries(id, options, deps))

  withConnection(command.command('replay'))
    .description('deliver again')
    .argument('<id>', 'endpoint id')
    .argument('[deliveries...]', 'delivery ids, from `webhooks deliveries`')
    .option(
      '--dead-since <instant>',
      'all that were given up and made since then: 2026-01-31T12:00:00Z, or 2d for two days ago',
    )
    .action((id: string, ids: string[], options: Common & { deadSince?: string }) => replay(id, ids, options, deps))

  return command.addHelpText(
    'after',
    `
Examples:
  $ countersign webhooks create https://example.com/hook --events approval.requested --risks high,critical
  $ countersign webhooks test whk_01jd6x0q3v8m2c4k7s9t5w1y3z
  $ countersign webhooks deliveries whk_01jd6x0q3v8m2c4k7s9t5w1y3z --status dead
  $ countersign webhooks replay whk_01jd6x0q3v8m2c4k7s9t5w1y3z --dead-since 2d`,
  )
}

const withSettings = (command: Command): Command =>
  command
    .option('--description <text>', 'what it is for')
    .option('--events <a,b>', 'only these events, or all', wordsOf(NOTIFICATION_TYPES))
    .option('--tools <a,b>', 'only tools or targets that fit one of these globs, or all', wordsOf())
    .option('--risks <a,b>', 'only these risks, or all', wordsOf(RISKS))
    .option('--callback-as <name>', 'put links into the body that decide in the name of this approver: yourself')
    .option('--no-callback-as', 'no such links')

/** Words with commas between them; `all` is none, which is no filter. */
const wordsOf = (choices?: readonly string[]) => (text: string) => {
  if (text === 'all') return []
  const words = [...new Set(text.split(',').map((word) => word.trim()))]
  const wrong = words.find((word) => word === '' || (choices && !choices.includes(word)))
  if (wrong !== undefined)
    throw new InvalidArgumentError(`It must be all, or some of: ${choices?.join(', ') ?? 'globs'}.`)
  return words
}

function durationOf(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('It must be a time, as 30m, 24h or 2d.')
  return ms
}

function settingsOf({ description, events, tools, risks, callbackAs }: Settings): WebhookSettings {
  return {
    ...(description === undefined ? {} : { description }),
    ...(events === undefined ? {} : { events }),
    ...(tools === undefined ? {} : { tools }),
    ...(risks === undefined ? {} : { risks }),
    ...(callbackAs === undefined ? {} : { callbackAs: callbackAs === false ? null : callbackAs }),
  }
}

async function list(options: Common, deps: Deps): Promise<void> {
  const { terminal } = deps
  const webhooks = await (await webhooksApi(options, deps)).list()
  if (options.json) return terminal.out(jsonText({ items: webhooks }, 2))
  if (webhooks.length === 0) return terminal.err('There are no webhooks.')
  for (const line of webhookTable(webhooks, { terminal, now: deps.now() })) terminal.out(line)
}

async function show(id: string, options: Common, deps: Deps): Promise<void> {
  print(await (await webhooksApi(options, deps)).show(id), options, deps)
}

async function create(url: string, options: Common & Settings, deps: Deps): Promise<void> {
  const made = await (await webhooksApi(options, deps)).create({ url, ...settingsOf(options) })
  printSecret(made, options, deps, 'Keep the secret: it is not shown again.')
}

async function update(id: string, options: UpdateOptions, deps: Deps): Promise<void> {
  const settings = {
    ...settingsOf(options),
    ...(options.to === undefined ? {} : { url: options.to }),
    ...(options.on || options.off ? { enabled: options.on === true } : {}),
  }
  if (Object.keys(settings).length === 0) throw usageError('Say what to change: see countersign webhooks update --help')
  print(await (await webhooksApi(options, deps)).update(id, settings), options, deps)
}

async function remove(id: string, options: Common, deps: Deps): Promise<void> {
  await (await webhooksApi(options, deps)).remove(id)
  deps.terminal.out(options.json ? jsonText({ id, deleted: true }) : `deleted ${printable(id)}`)
}

async function rotate(id: string, options: Common & { overlap: number }, deps: Deps): Promise<void> {
  const rotated = await (await webhooksApi(options, deps)).rotate(id, options.overlap)
  const { rotatingUntil } = rotated
  const old =
    rotatingUntil === undefined ? 'The old one signs no more.' : `The old one signs too until ${rotatingUntil}.`
  printSecret(rotated, options, deps, `${old} Keep the new one: it is not shown again.`)
}

async function test(id: string, options: Common & { wait: number }, deps: Deps): Promise<void> {
  const api = await webhooksApi(options, deps)
  const sent = await api.test(id)
  const tried = await attempted(api, sent, options.wait, deps)
  const { terminal } = deps
  if (options.json) terminal.out(jsonText(tried, 2))
  const last = tried.log.at(-1)
  if (tried.status !== 'delivered')
    throw new CliError(
      last ? `The test was not taken: ${latestOf(tried, deps.now())}` : `Nothing came of it within ${options.wait} s.`,
      1,
    )
  if (!options.json)
    terminal.out(`delivered, status ${last?.status ?? '-'} after ${Math.round(last?.durationMs ?? 0)} ms`)
}

/** The delivery as it stands after its first attempt, or when the time is over. */
async function attempted(api: WebhooksApi, sent: DeliveryView, waitSeconds: number, deps: Deps): Promise<DeliveryView> {
  const until = deps.now() + waitSeconds * 1_000
  const stop = deps.interrupted()
  for (let latest = sent; ; ) {
    if (latest.log.length > 0 || latest.status !== 'waiting' || deps.now() >= until || stop.aborted) return latest
    await pause(LOOK_EVERY_MS, stop)
    latest = (await api.deliveries(sent.webhookId, { limit: 50 })).find((each) => each.id === sent.id) ?? latest
  }
}

async function enable(id: string, options: Common, deps: Deps): Promise<void> {
  const webhook = await (await webhooksApi(options, deps)).enable(id)
  deps.terminal.out(options.json ? jsonText(webhook, 2) : `enabled ${printable(id)}`)
}

async function deliveries(id: string, options: Common & { status?: string; limit: number }, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { status, limit, json } = options
  const query = { limit, ...(status === undefined ? {} : { status }) }
  const items = await (await webhooksApi(options, deps)).deliveries(id, query)
  if (json) return terminal.out(jsonText({ items }, 2))
  if (items.length === 0) return terminal.err('There are no such deliveries.')
  for (const line of deliveryTable(items, { terminal, now: deps.now() })) terminal.out(line)
  if (items.length === limit) terminal.err(`\nThe newest ${limit}; --limit shows more.`)
}

async function replay(id: string, ids: string[], options: Common & { deadSince?: string }, deps: Deps): Promise<void> {
  const { deadSince, json } = options
  if (ids.length > 0 === (deadSince !== undefined)) throw usageError('Say which: delivery ids, or --dead-since.')
  const since = deadSince === undefined ? undefined : instantOf(deadSince, deps.now())
  const api = await webhooksApi(options, deps)
  if (since === undefined) for (const each of ids) await api.replay(id, each)
  const replayed = since === undefined ? ids.length : (await api.replayDead(id, since)).replayed
  deps.terminal.out(json ? jsonText({ replayed }) : `${replayed} on their way again`)
}

function instantOf(text: string, now: number): string {
  const ago = parseDuration(text)
  if (ago !== undefined) return new Date(now - ago).toISOString()
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(Date.parse(text)))
    throw usageError('--dead-since must be an instant, as 2026-01-31T12:00:00Z, or a time, as 2d.')
  return new Date(text).toISOString()
}

function print(webhook: WebhookView, { json }: Common, { terminal, now }: Deps): void {
  const lines = json ? [jsonText(webhook, 2)] : webhookCard(webhook, { terminal, now: now() })
  for (const line of lines) terminal.out(line)
}

function printSecret(webhook: WebhookView & { secret: string }, { json }: Common, deps: Deps, advice: string): void {
  const { terminal } = deps
  terminal.out(json ? jsonText(webhook, 2) : printable(webhook.secret))
  if (!json) terminal.err(`\n${printable(webhook.id)} → ${printable(webhook.url)}\n${advice}`)
}
