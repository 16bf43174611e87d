import type { Risk } from './events.ts'
import { jsonLines } from './json-lines.ts'
import type { Notification } from './notification.ts'
import { printable } from './printable.ts'
import type { ApprovalView } from './view.ts'

/**
 * A notification in words for people. Everything in it is one inert line: nothing invisible in it but word joiners, which
 * keep what agents and people wrote from being made into links and mentions. It is still to be escaped for markup.
 */
export interface NotificationText {
  /** Somebody must decide, or what became of it. */
  mood: 'asking' | 'allowed' | 'refused' | 'ended'
  risk: Risk
  /** `Approval needed (high)`, `Denied by alice`. */
  title: string
  /** The call, at most 100 characters and without word joiners: for subject lines, which nobody makes links of. */
  subject: string
  /** The call, at most 300 characters. */
  summary: string
  /** What is short, and what counts most, comes first. */
  facts: { name: string; value: string }[]
  /** The redacted arguments, indented, while somebody must decide; empty afterwards. */
  argumentLines: string[]
  /** True when more arguments are on the record than are here. */
  argumentsCut: boolean
}

const MAX_SUBJECT = 100
const MAX_NAMES = 100
const MAX_VALUE = 300
const MAX_LISTED = 5

export function notificationText(
  notification: Notification,
  { maxArgumentBytes = 16_384, maxArgumentLines = 400 }: { maxArgumentBytes?: number; maxArgumentLines?: number } = {},
): NotificationText {
  const { approval } = notification
  const { mood, headline } = happened(notification)
  const asking = mood === 'asking'
  const lines = asking ? jsonLines(approval.action.preview).map((line) => unlinked(printable(line))) : []
  const argumentLines = fitted(lines.slice(0, maxArgumentLines), maxArgumentBytes)
  return {
    mood,
    risk: approval.risk,
    title: asking ? `${headline} (${text(approval.risk)})` : headline,
    subject: line(approval.action.summary, MAX_SUBJECT),
    summary: text(approval.action.summary),
    facts: asking ? questionFacts(approval) : outcomeFacts(approval),
    argumentLines,
    argumentsCut: asking && (approval.action.previewTruncated || argumentLines.join('\n') !== lines.join('\n')),
  }
}

interface Happened {
  mood: NotificationText['mood']
  headline: string
}

function happened(notification: Notification): Happened {
  const { type, approval } = notification
  switch (type) {
    case 'approval.requested':
      return { mood: 'asking', headline: 'Approval needed' }
    case 'approval.expiring':
      return { mood: 'asking', headline: 'Time runs out: approval needed' }
    case 'approval.escalated':
      return { mood: 'asking', headline: 'Escalated: approval needed' }
    case 'approval.decided':
      return decided(approval)
    case 'approval.settled':
      return settled(approval)
  }
}

function decided({ status, decidedBy, edited }: ApprovalView): Happened {
  const by = decidedBy.length === 0 ? '' : ` by ${names(decidedBy)}`
  switch (status) {
    case 'denied':
      return { mood: 'refused', headline: `Denied${by}` }
    case 'expired':
      return { mood: 'ended', headline: by === '' ? 'Expired: nobody decided' : 'Expired: approved, but not used' }
    case 'cancelled':
      return { mood: 'ended', headline: 'Cancelled: the call waits no more' }
    default:
      return { mood: 'allowed', headline: `Approved${edited ? ' with changes' : ''}${by}` }
  }
}

function settled({ settlement }: ApprovalView): Happened {
  switch (settlement?.outcome) {
    case 'executed':
      return { mood: 'allowed', headline: 'Executed' }
    case 'failed':
      return { mood: 'refused', headline: 'Failed' }
    case 'unknown':
      return { mood: 'ended', headline: 'Nobody reported an outcome: it may have been executed' }
    default:
      return { mood: 'allowed', headline: 'Not executed: the approval can be used again' }
  }
}

type Fact = NotificationText['facts'][number]

function questionFacts(approval: ApprovalView): Fact[] {
  const { id, rule, threshold, findings = [], suggestion, votes } = approval
  return [
    ...origin(approval),
    { name: 'Risk', value: text(approval.risk) },
    { name: 'Rule', value: text(rule.ids.join(', ')) },
    { name: 'Expires', value: instantText(approval.expiresAt) },
    { name: 'Approval', value: text(id) },
    ...listed('Approvers', approversOf(approval)),
    ...(threshold.approve > 1
      ? [{ name: 'Votes', value: `${threshold.approve} to approve, ${threshold.deny} to deny` }]
      : []),
    ...listed(
      'Voted',
      votes.map(({ by, decision }) => `${by.name}: ${decision}`),
    ),
    ...listed('Why', rule.why),
    ...listed(
      'Finding',
      findings.map(({ severity, message, path }) => `${severity}: ${message}${path === undefined ? '' : ` (${path})`}`),
    ),
    ...(suggestion === undefined
      ? []
      : listed('Suggested', [
          `by ${suggestion.by}: ${JSON.stringify(suggestion.edits)}`,
          ...(suggestion.reason === undefined ? [] : [suggestion.reason]),
        ])),
  ]
}

function outcomeFacts(approval: ApprovalView): Fact[] {
  const { decidedAt, reason, settlement } = approval
  const { status, detail } = settlement ?? {}
  const result = [...(status === undefined ? [] : [`status ${status}`]), ...(detail === undefined ? [] : [detail])]
  return [
    ...origin(approval),
    ...(decidedAt === undefined ? [] : [{ name: 'Decided', value: instantText(decidedAt) }]),
    ...(reason === undefined || reason === '' ? [] : [{ name: 'Reason', value: text(reason) }]),
    ...(result.length === 0 ? [] : [{ name: 'Result', value: text(result.join(': ')) }]),
    { name: 'Approval', value: text(approval.id) },
  ]
}

function origin({ agent, tenant, action }: ApprovalView): Fact[] {
  const target = action.tool ?? [action.method, action.target].filter((part) => part !== undefined).join(' ')
  const said = [
    ...(agent.session === undefined ? [] : [`session ${agent.session}`]),
    ...(agent.user === undefined ? [] : [`user ${agent.user}`]),
  ]
  return [
    { name: 'Agent', value: text(agent.name + (said.length === 0 ? '' : ` (says: ${said.join(', ')})`)) },
    { name: 'Action', value: text(`${action.kind} ${target}`) },
    ...(tenant === 'default' ? [] : [{ name: 'Tenant', value: text(tenant) }]),
  ]
}

function approversOf({ requirements }: ApprovalView): string[] {
  const named = requirements.filter(({ anyOf }) => anyOf.length > 0)
  if (named.length === 0) return ['anyone who may approve']
  return named.map(({ anyOf, approve }) => `${approve > 1 ? `${approve} of ` : ''}${anyOf.join(', ')}`)
}

/** The first few, and how many more there are. */
function listed(name: string, values: readonly string[]): Fact[] {
  const shown = values.slice(0, MAX_LISTED).map((value) => ({ name, value: text(value) }))
  const more = values.length - shown.length
  return more > 0 ? [...shown, { name, value: `… ${more} more` }] : shown
}

const names = (actors: readonly { name: string }[]): string =>
  unlinked(line(actors.map(({ name }) => name).join(', '), MAX_NAMES))

/** `2026-01-01 00:01:00 UTC` */
const instantText = (instant: string): string => text(instant.replace('T', ' ').replace(/(?:\.\d+)?Z$/, ' UTC'))

const text = (value: string): string => unlinked(line(value, MAX_VALUE))

/** One inert line of at most so many characters. */
function line(value: string, limit: number): string {
  const shown = printable(value.slice(0, limit))
  return value.length <= limit && shown.length <= limit ? shown : `${whole(shown.slice(0, limit - 1))}…`
}

/** Not through the middle of a character. */
const whole = (cut: string): string => (/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut)

/**
 * Mail programs and chats turn what looks like a link, an address or a mention into one. A word joiner (U+2060), which
 * takes no room, stands in the way.
 */
const unlinked = (shown: string): string => shown.replace(/[.。．｡](?=[^\s\d])|:(?=\/\/)|[@＠](?=\S)/g, '$&\u2060')

/** The lines that fit into so many bytes of UTF-8, the last one cut where it must be. */
export function fitted(lines: readonly string[], maxBytes: number): string[] {
  const kept: string[] = []
  let left = maxBytes
  for (const each of lines) {
    const bytes = Buffer.byteLength(each) + 1
    if (bytes > left) {
      const cut = cutToBytes(each, left - 4)
      return cut === '' ? kept : [...kept, `${cut}…`]
    }
    kept.push(each)
    left -= bytes
  }
  return kept
}

function cutToBytes(value: string, bytes: number): string {
  let cut = ''
  let left = bytes
  for (const character of value) {
    left -= Buffer.byteLength(character)
    if (left < 0) break
    cut += character
  }
  return cut
}

/** Without markup, for mail and push: the call, its facts, its arguments, at most so many bytes of UTF-8. */
export function plainLines(
  { summary, facts, argumentLines, argumentsCut }: NotificationText,
  maxBytes = Number.POSITIVE_INFINITY,
): string[] {
  const head = [summary, '', ...facts.map(({ name, value }) => `${name}: ${value}`)]
  const title = `Arguments (secrets masked${argumentsCut ? ', shortened' : ''}):`
  return fitted(argumentLines.length === 0 ? head : [...head, '', title, ...argumentLines], maxBytes)
}

/** The card of an approval on the page. `publicUrl` is where people reach the page. */
export const cardUrl = (publicUrl: string, approvalId: string): string =>
  `${publicUrl.replace(/\/+$/, '')}/#/approvals/${encodeURIComponent(approvalId)}`
