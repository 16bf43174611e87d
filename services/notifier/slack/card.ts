import { Status } from '../../../lib/core/approval.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'
import type { SlackBlock, SlackMessage } from '../../../lib/ports/slack.ts'
import { dateToken, inert, marked, plain } from './text.ts'
import { decisionOf, settlementOf, titleOf, votesOf } from './wording.ts'

/** Names of our buttons; Slack hands them back with a click. */
export const BUTTONS = {
  approve: 'countersign.approve',
  deny: 'countersign.deny',
  details: 'countersign.details',
  page: 'countersign.page',
} as const

export interface CardOptions {
  /** False shows no buttons that decide or open anything: clicks have no way in. */
  clickable: boolean
  /** Where the page shows this approval; undefined when its address is not configured. */
  pageUrl?: string | undefined
}

const MOST_FIELDS = 10
const FIELD = 400
const SUMMARY = 800
const LINE = 300
const MOST_FINDINGS = 10

/**
 * The card of an approval as it stands: what is asked, why, by whom, until when; buttons while it is pending, and then
 * who decided what. Everything that is not our own words is plain text. Within the limits of Block Kit.
 */
export function cardOf(approval: ApprovalView, options: CardOptions): SlackMessage {
  const { action, findings = [], suggestion, status } = approval
  const blocks: SlackBlock[] = [
    { type: 'header', text: plain(titleOf(approval)) },
    { type: 'section', text: plain(inert(action.summary, SUMMARY)) },
  ]
  const args = argumentFields(action.preview)
  if (args.length > 0) blocks.push({ type: 'section', fields: args.map(plain) })
  blocks.push({ type: 'section', fields: facts(approval).map(plain) })
  if (approval.rule.why.length > 0)
    blocks.push(contextOf(plain(`Why: ${inert(approval.rule.why.join('; '), LINE * 2)}`)))
  if (findings.length > 0) blocks.push({ type: 'section', text: plain(findingLines(findings)) })
  if (suggestion)
    blocks.push(contextOf(plain(`${inert(suggestion.by, 100)} suggests other arguments. They are on the page.`)))
  if (action.previewTruncated) blocks.push(contextOf(plain('The arguments are too long to be shown whole.')))
  blocks.push(...(status === Status.pending ? pendingBlocks(approval, options) : outcomeBlocks(approval, options)))
  return { text: `${titleOf(approval)}: ${inert(action.summary, SUMMARY)}`, blocks }
}

const contextOf = (...elements: object[]): SlackBlock => ({ type: 'context', elements })

/** Each argument by its name, as JSON; one field for what has no names. */
function argumentFields(preview: string): string[] {
  let value: unknown
  try {
    value = JSON.parse(preview)
  } catch {
    value = preview
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [`arguments: ${inert(JSON.stringify(value), FIELD)}`]
  const fields = Object.entries(value).map(
    ([name, each]) => `${inert(name, LINE)}: ${inert(JSON.stringify(each), FIELD)}`,
  )
  if (fields.length <= MOST_FIELDS) return fields
  return [...fields.slice(0, MOST_FIELDS - 1), `and ${fields.length - MOST_FIELDS + 1} more: see the details`]
}

function facts(approval: ApprovalView): string[] {
  const { agent, rule, risk, approvers } = approval
  const who = agent.user === undefined ? agent.name : `${agent.name} for ${agent.user}`
  return [
    `Agent: ${inert(who, LINE)}`,
    `Risk: ${risk}`,
    `Rule: ${inert(rule.ids.join(', '), LINE)}`,
    `Approvers: ${approvers.length === 0 ? 'everybody who approves' : inert(approvers.join(', '), LINE)}`,
    `Votes: ${inert(votesOf(approval), LINE)}`,
  ]
}

function findingLines(findings: NonNullable<ApprovalView['findings']>): string {
  const lines = findings.slice(0, MOST_FINDINGS).map(({ detector, severity, message, path }) => {
    const where = path === undefined ? '' : ` (${inert(path, 80)})`
    return `${severity}, ${inert(detector, 80)}: ${inert(message, 120)}${where}`
  })
  const more = findings.length - lines.length
  return ['Findings:', ...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n')
}

function pendingBlocks(approval: ApprovalView, { clickable, pageUrl }: CardOptions): SlackBlock[] {
  const expiry = contextOf(marked(`Expires ${dateToken(approval.expiresAt)}`))
  const button = (name: keyof typeof BUTTONS, label: string, more: object = {}) => ({
    ...{ type: 'button', action_id: BUTTONS[name], text: plain(label), value: approval.id, ...more },
  })
  const elements = [
    ...(clickable
      ? [
          button('approve', 'Approve', { style: 'primary' }),
          button('deny', 'Deny', { style: 'danger' }),
          button('details', 'Details'),
        ]
      : []),
    // A link is a click as well; without a way in for clicks it is a line of text.
    ...(clickable && pageUrl !== undefined ? [button('page', 'Open page', { url: pageUrl })] : []),
  ]
  if (elements.length > 0) return [expiry, { type: 'actions', elements }]
  return pageUrl === undefined ? [expiry] : [expiry, linkTo(pageUrl)]
}

const linkTo = (pageUrl: string): SlackBlock => contextOf(marked(`<${pageUrl}|Open page>`))

function outcomeBlocks(approval: ApprovalView, { pageUrl }: CardOptions): SlackBlock[] {
  const { decidedAt, reason, settlement } = approval
  const lines = [decisionOf(approval), settlementOf(approval)].flatMap((line) =>
    line === undefined ? [] : [inert(line, LINE * 2)],
  )
  const at = settlement?.settledAt ?? decidedAt
  return [
    { type: 'section', text: plain(lines.join('\n')) },
    ...(reason === undefined ? [] : [contextOf(plain(`Reason given: ${inert(reason, 2000)}`))]),
    ...(at === undefined ? [] : [contextOf(marked(dateToken(at)))]),
    ...(pageUrl === undefined ? [] : [linkTo(pageUrl)]),
  ]
}
