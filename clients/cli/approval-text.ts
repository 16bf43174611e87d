import type { ApprovalView, HistoryEntryView } from '../sdk/index.ts'
import { jsonText, printable } from './printable.ts'
import { type Column, table } from './table.ts'
import type { Colors } from './terminal.ts'
import { clip } from './text-width.ts'
import { formatSpan, fromNow } from './time-span.ts'

interface Style {
  colors: Colors
  now: number
  width: number | undefined
}

/** Columns before a fact's text. */
const INDENT = 13

const riskPaint = (risk: string, { yellow, red, dim }: Colors): ((text: string) => string) =>
  risk === 'critical' || risk === 'high' ? red : risk === 'medium' ? yellow : dim

const statusPaint = (status: string, { green, red, yellow, dim }: Colors): ((text: string) => string) => {
  if (status === 'pending') return yellow
  if (status === 'denied') return red
  return status === 'expired' || status === 'cancelled' ? dim : green
}

/** One line per approval. */
export function approvalTable(approvals: readonly ApprovalView[], style: Style): string[] {
  const { colors, now } = style
  const columns: Column<ApprovalView>[] = [
    { head: 'ID', cell: ({ id }) => printable(id) },
    {
      head: 'STATUS',
      cell: ({ status }) => printable(status),
      paint: (cell, row) => statusPaint(row.status, colors)(cell),
    },
    {
      head: 'AGE',
      cell: ({ requestedAt }) => formatSpan(now - Date.parse(requestedAt)),
      paint: (cell) => colors.dim(cell),
    },
    {
      head: 'EXPIRES',
      cell: ({ status, expiresAt }) => (status === 'pending' ? fromNow(expiresAt, now) : '-'),
      paint: (cell) => colors.dim(cell),
    },
    { head: 'AGENT', cell: ({ agent }) => printable(agent.name), most: 20 },
    { head: 'RISK', cell: ({ risk }) => printable(risk), paint: (cell, row) => riskPaint(row.risk, colors)(cell) },
    { head: 'SUMMARY', cell: ({ action }) => printable(action.summary) },
  ]
  return table(columns, approvals, { width: style.width, paintHead: colors.bold })
}

/** What an approver needs to decide; with votes and history where the record has them. */
export function approvalCard(approval: ApprovalView, style: Style): string[] {
  const { colors, now, width } = style
  const { action, agent, rule, threshold } = approval
  const paintRisk = riskPaint(approval.risk, colors)
  const said = [
    ...(agent.session === undefined ? [] : [`session ${printable(agent.session)}`]),
    ...(agent.user === undefined ? [] : [`user ${printable(agent.user)}`]),
  ]
  const facts: [string, string][] = [
    ['agent', printable(agent.name) + (said.length === 0 ? '' : colors.dim(` (says: ${said.join(', ')})`))],
    ['action', printable([action.kind, action.tool ?? `${action.method ?? ''} ${action.target ?? ''}`].join(' '))],
    ['risk', paintRisk(printable(approval.risk))],
    ['rule', rule.ids.map(printable).join(', ')],
    ...rule.why.map((why, at): [string, string] => [
      at === 0 ? 'why' : '',
      width === undefined ? printable(why) : clip(printable(why), width - INDENT),
    ]),
    ...approversOf(approval).map((line, at): [string, string] => [at === 0 ? 'approvers' : '', line]),
    ...(threshold.approve > 1 || threshold.deny > 1
      ? [['votes', `${threshold.approve} to approve, ${threshold.deny} to deny`] satisfies [string, string]]
      : []),
    ...(approval.reasonRequired.length > 0
      ? [['reason', `required to ${approval.reasonRequired.join(' and to ')}`] satisfies [string, string]]
      : []),
    ['asked', `${fromNow(approval.requestedAt, now)}  ${colors.dim(approval.requestedAt)}`],
    ...(approval.escalated ?? []).map(({ at, approvers }): [string, string] => [
      'escalated',
      `${fromNow(at, now)}${toNames(approvers)}`,
    ]),
    ...(approval.status === 'pending' ? [['expires', expiryText(approval, style)] satisfies [string, string]] : []),
    ...(approval.decidedAt === undefined ? [] : [['decided', decidedText(approval, style)] satisfies [string, string]]),
    ...(approval.settlement === undefined
      ? []
      : [['outcome', settlementText(approval.settlement)] satisfies [string, string]]),
  ]
  const { previewTruncated } = action
  return [
    `${colors.bold(printable(action.summary))}`,
    `${printable(approval.id)}  ${statusPaint(approval.status, colors)(printable(approval.status))}`,
    '',
    ...facts.map(([name, text]) => `  ${colors.dim(name.padEnd(9))}  ${text}`),
    '',
    `  ${colors.dim(`arguments (secrets masked${previewTruncated ? ', shortened' : ''})`)}`,
    ...previewLines(action.preview).map((line) => `    ${line}`),
    ...section(
      'findings',
      (approval.findings ?? []).map((finding) => findingText(finding, colors)),
      colors,
    ),
    ...(approval.suggestion === undefined ? [] : suggestionLines(approval.suggestion, colors)),
    ...section(
      'votes',
      approval.votes.map((vote) => voteText(vote, style)),
      colors,
    ),
    ...section(
      'history',
      (approval.history ?? []).map((entry) => historyText(entry, colors)),
      colors,
    ),
  ]
}

const section = (title: string, lines: readonly string[], { dim }: Colors): string[] =>
  lines.length === 0 ? [] : ['', `  ${dim(title)}`, ...lines.map((line) => `    ${line}`)]

const findingText = (
  { detector, severity, message, path }: NonNullable<ApprovalView['findings']>[number],
  colors: Colors,
): string => {
  const place = path === undefined ? '' : `  ${colors.dim(printable(path))}`
  return `${riskPaint(severity, colors)(printable(severity))}  ${printable(detector)}  ${printable(message)}${place}`
}

function suggestionLines({ by, edits, reason }: NonNullable<ApprovalView['suggestion']>, colors: Colors): string[] {
  const title = `suggested by ${printable(by)}, as changes to the arguments${quoted(reason)}`
  return section(title, jsonText(edits, 2).split('\n').map(printable), colors)
}

/** A preview that was cut is no JSON any more: then it is shown as it is. */
function previewLines(preview: string): string[] {
  try {
    return jsonText(JSON.parse(preview), 2).split('\n').map(printable)
  } catch {
    return [printable(preview)]
  }
}

function expiryText({ expiresAt, warnedAt }: ApprovalView, { colors, now }: Style): string {
  const when = fromNow(expiresAt, now)
  return `${warnedAt === undefined ? when : colors.red(when)}  ${colors.dim(expiresAt)}`
}

const toNames = (approvers: readonly string[]): string =>
  approvers.length === 0 ? '' : ` to ${approvers.map(printable).join(', ')}`

/** Whom the latest step of the escalation named: ` to group:managers`, or nothing where it named nobody. */
export const escalatedTo = ({ escalated }: ApprovalView): string => toNames(escalated?.at(-1)?.approvers ?? [])

const names = (actors: readonly { name: string }[]): string => actors.map(({ name }) => printable(name)).join(', ')
const quoted = (reason: string | null | undefined): string => (reason ? `  “${printable(reason)}”` : '')

/** What became of it, by whom and why, in one line: `approved by alice  “fine”`. */
export function decidedText(approval: ApprovalView, { now }: Pick<Style, 'now'>): string {
  const { decidedBy, decidedAt, edited } = approval
  const by = decidedBy.length === 0 ? '' : ` by ${names(decidedBy)}`
  const when = decidedAt === undefined ? '' : ` ${fromNow(decidedAt, now)}`
  return `${outcomeWord(approval)}${edited ? ' with edits' : ''}${by}${when}${quoted(approval.reason)}`
}

/** The decision's word, whatever happened to the approval afterwards. */
export const outcomeWord = ({ status }: ApprovalView): string =>
  status === 'claimed' || status === 'settled' ? 'approved' : printable(status)

const settlementText = ({ outcome, status, detail }: NonNullable<ApprovalView['settlement']>): string =>
  [outcome.replace('_', ' '), status === undefined ? '' : `(${status})`, printable(detail ?? '')]
    .filter(Boolean)
    .join(' ')

const voteText = ({ by, decision, reason, at }: ApprovalView['votes'][number], { now }: Style): string =>
  `${decision}  ${printable(by.name)} ${fromNow(at, now)} via ${by.via}${quoted(reason)}`

function historyText(entry: HistoryEntryView, { dim }: Colors): string {
  const reason = 'reason' in entry ? quoted(entry.reason) : ''
  const outcome =
    'outcome' in entry ? `  ${entry.outcome.replace('_', ' ')}` : 'added' in entry ? toNames(entry.added) : ''
  const who = `${printable(entry.by.name)} ${dim(`via ${entry.by.via}`)}`
  return `${dim(entry.at)}  ${entry.type.padEnd(9)}  ${who}${outcome}${reason}`
}

/** Who must approve: a line for each rule that names somebody. */
function approversOf({ requirements }: ApprovalView): string[] {
  const named = requirements.filter(({ anyOf }) => anyOf.length > 0)
  if (named.length === 0) return ['anyone who may approve']
  return named.map(({ anyOf, approve }) => `${approve > 1 ? `${approve} of ` : ''}${anyOf.map(printable).join(', ')}`)
}
