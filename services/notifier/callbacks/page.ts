import { ERRORS, type ErrorCode, type ProblemDetails } from '../../../lib/core/errors.ts'
import type { DecisionWord } from '../../../lib/core/events.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'

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
<p><button>${title}</button> in the name of ${escaped(approver)}</p>
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
    `<p>${escaped(detail ?? '')}</p>${standing ? `${factsOf(standing)}${decidedOf(standing)}` : ''}`,
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

const factsOf = ({ action, agent, rule, risk, id }: ApprovalView): string => `<h2>${escaped(action.summary)}</h2>
<dl>
<dt>Agent</dt><dd>${escaped(agent.name)}</dd>
<dt>Risk</dt><dd>${escaped(risk)}</dd>
<dt>Rule</dt><dd>${escaped(rule.id)}</dd>
<dt>Approval</dt><dd>${escaped(id)}</dd>
</dl>
<pre>${escaped(action.preview)}</pre>`

function decidedOf({ status, decidedBy, decidedAt, reason }: ApprovalView): string {
  if (status === 'pending') return ''
  const who = decidedBy.map(({ name }) => name).join(', ')
  return `<p>${escaped(STANDING[status])}${who === '' ? '' : ` by ${escaped(who)}`}${decidedAt === undefined ? '' : ` at ${escaped(decidedAt)}`}</p>${
    reason === undefined ? '' : `<p>Reason given:</p><blockquote>${escaped(reason)}</blockquote>`
  }`
}

const pageOf = (title: string, content: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)} · Countersign</title>
</head>
<body>
<h1>${escaped(title)}</h1>
${content}
</body>
</html>
`

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
/** Direction marks and invisible characters could make a text read as another. */
const INVISIBLE = /[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g

const escaped = (text: string): string =>
  text
    .replace(INVISIBLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char)
