import { ERRORS, type ErrorCode, type ProblemDetails } from '../../../lib/core/errors.ts'
import type { DecisionWord } from '../../../lib/core/events.ts'
import { printable } from '../../../lib/core/printable.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'

const MOST_TEXT = 500
const MOST_REASON = 2_000
const MOST_PREVIEW = 16_384
const MOST_LINES = 20

/** Nothing but the form itself: no script, no style, no other host. */
export const PAGE_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

/** What is about to be decided, and a button. Opening the page decides nothing: mail filters open every link. */
export function askingPage(decision: DecisionWord, approval: ApprovalView, approver: string): string {
  const title = decision === 'approve' ? 'Approve' : 'Deny'
  const isRequired = approval.reasonRequired.includes(decision)
  return pageOf(
    `${title}?`,
    `${factsOf(approval)}
<form method="post">
<p><label>Reason${isRequired ? '' : ' (optional)'}<br><textarea name="reason" rows="3" cols="60" maxlength="2000"${isRequired ? ' required' : ''}></textarea></label></p>
<p><button>${title}</button> in the name of ${inert(approver)}</p>
</form>`,
  )
}

/** How the approval stands, where there is nothing (more) to decide. */
export const standingPage = (approval: ApprovalView): string =>
  pageOf(STANDING[approval.status], `${factsOf(approval)}${decidedOf(approval)}`)

export function problemPage(code: ErrorCode, { detail, approval }: ProblemDetails): string {
  const standing = approval as ApprovalView | undefined
  return pageOf(
    ERRORS[code].title,
    `<p>${inert(detail ?? '')}</p>${standing ? `${factsOf(standing)}${decidedOf(standing)}` : ''}`,
  )
}

const STANDING: Record<ApprovalView['status'], string> = {
  pending: 'Your vote counts; others are needed as well',
  approved: 'Approved',
  claimed: 'Approved',
  settled: 'Approved',
  denied: 'Denied',
  expired: 'Expired: nobody decided in time',
  cancelled: 'Cancelled: nobody waits for it any more',
}

function factsOf({ action, agent, rule, risk, findings = [], id }: ApprovalView): string {
  return `<h2>${inert(action.summary)}</h2>
<dl>
<dt>Agent</dt><dd>${inert(agent.name)}</dd>
<dt>Risk</dt><dd>${inert(risk)}</dd>
<dt>Rule</dt><dd>${inert(rule.id)}</dd>
<dt>Approval</dt><dd>${inert(id)}</dd>
</dl>
${listOf('Why', rule.why, (why) => inert(why))}${listOf('What was noticed', findings, findingText)}<pre>${inert(action.preview, MOST_PREVIEW)}</pre>
${action.previewTruncated ? '<p>The arguments are too long to be shown whole.</p>\n' : ''}`
}

type Finding = NonNullable<ApprovalView['findings']>[number]

function findingText({ detector, severity, message, path }: Finding): string {
  const source = path === undefined ? inert(detector) : `${inert(detector)}, ${inert(path)}`
  return `${inert(severity)}: ${inert(message)} (${source})`
}

/** `shown` must be inert. */
function listOf<T>(title: string, lines: readonly T[], shown: (line: T) => string): string {
  if (lines.length === 0) return ''
  const more = lines.length - MOST_LINES
  const items = lines.slice(0, MOST_LINES).map((line) => `<li>${shown(line)}</li>`)
  if (more > 0) items.push(`<li>and ${more} more</li>`)
  return `<h3>${title}</h3>\n<ul>\n${items.join('\n')}\n</ul>\n`
}

function decidedOf({ status, decidedBy, decidedAt, reason }: ApprovalView): string {
  if (status === 'pending') return ''
  const who = decidedBy
    .slice(0, MOST_LINES)
    .map(({ name }) => inert(name))
    .join(', ')
  return `<p>${STANDING[status]}${who === '' ? '' : ` by ${who}`}${decidedAt === undefined ? '' : ` at ${inert(decidedAt)}`}</p>${
    reason === undefined ? '' : `<p>Reason given:</p><blockquote>${inert(reason, MOST_REASON)}</blockquote>`
  }`
}

const pageOf = (title: string, content: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Countersign</title>
</head>
<body>
<h1>${title}</h1>
${content}
</body>
</html>
`

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** What somebody else wrote: no markup, nothing invisible, and not longer than this. */
function inert(text: string, limit = MOST_TEXT): string {
  const isLong = text.length > limit
  const shown = isLong ? text.slice(0, limit).replace(/[\ud800-\udbff]$/, '') : text
  return `${printable(shown).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char)}${isLong ? '…' : ''}`
}
