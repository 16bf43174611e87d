import type { Deps } from '../deps.ts'
import { printable } from '../printable.ts'
import { table } from '../table.ts'
import { fromNow } from '../time-span.ts'
import type { DeliveryView, WebhookView } from './api.ts'

type Style = { terminal: Deps['terminal']; now: number }

export const webhookTable = (webhooks: readonly WebhookView[], { terminal, now }: Style): string[] =>
  table(
    [
      { head: 'ID', cell: ({ id }: WebhookView) => printable(id) },
      { head: 'STATE', cell: (webhook: WebhookView) => stateOf(webhook, now) },
      { head: 'SOURCE', cell: ({ source }: WebhookView) => source },
      { head: 'WANTS', cell: wantsOf, most: 50 },
      { head: 'URL', cell: ({ url }: WebhookView) => printable(url) },
    ],
    webhooks,
    { width: terminal.width(), paintHead: terminal.colors.bold },
  )

export const deliveryTable = (deliveries: readonly DeliveryView[], { terminal, now }: Style): string[] =>
  table(
    [
      { head: 'ID', cell: ({ id }: DeliveryView) => printable(id) },
      { head: 'MADE', cell: ({ createdAt }: DeliveryView) => fromNow(createdAt, now) },
      { head: 'TYPE', cell: ({ type }: DeliveryView) => printable(type) },
      { head: 'STATUS', cell: ({ status }: DeliveryView) => printable(status) },
      { head: 'TRIES', cell: ({ attempts }: DeliveryView) => String(attempts) },
      { head: 'LATEST', cell: (delivery: DeliveryView) => latestOf(delivery, now) },
    ],
    deliveries,
    { width: terminal.width(), paintHead: terminal.colors.bold },
  )

export function webhookCard(webhook: WebhookView, { now }: Style): string[] {
  const { health } = webhook
  const facts: [string, string | undefined][] = [
    ['id', webhook.id],
    ['url', webhook.url],
    ['description', webhook.description || undefined],
    ['state', stateOf(webhook, now)],
    ['source', webhook.source === 'config' ? 'countersign.yaml' : 'API'],
    ['events', listOf(webhook.events)],
    ['tools', listOf(webhook.tools)],
    ['risks', listOf(webhook.risks)],
    ['links as', webhook.callbackAs ?? undefined],
    ['last success', health.lastSuccessAt],
    ['last attempt', health.lastAttemptAt],
    ['rotating until', webhook.rotatingUntil],
  ]
  return facts.flatMap(([name, text]) => (text === undefined ? [] : [`${name.padEnd(15)}${printable(text)}`]))
}

/** What came of the latest attempt, in a line. */
export function latestOf({ log, nextAttemptAt, status }: DeliveryView, now: number): string {
  const last = log.at(-1)
  const said = last ? `${last.outcome}${last.detail === undefined ? '' : `: ${last.detail}`}` : '-'
  const next = status === 'waiting' && nextAttemptAt !== undefined ? `, again ${fromNow(nextAttemptAt, now)}` : ''
  return printable(`${said}${last ? next : ''}`)
}

function stateOf({ enabled, health }: WebhookView, now: number): string {
  if (!enabled) return 'off'
  if (health.disabled) return `disabled (${printable(health.disabled.reason)})`
  if (health.failingSince !== undefined) return `failing, since ${fromNow(health.failingSince, now)}`
  return health.lastSuccessAt === undefined ? 'new' : 'ok'
}

const listOf = (items: readonly string[]): string => (items.length === 0 ? 'all' : items.join(', '))

const wantsOf = ({ events, tools, risks }: WebhookView): string =>
  printable([...events, ...tools, ...risks].join(', ') || 'all')
