import type { SendMailOptions } from 'nodemailer'
import type { Notification } from '../../core/notification.ts'
import { type NotificationText, notificationText, plainLines } from '../../core/notification-text.ts'

/** An address, and the name that is shown with it. */
export interface Mailbox {
  name: string
  address: string
}

const COLOURS: Record<NotificationText['mood'], string> = {
  asking: '#1d4ed8',
  allowed: '#15803d',
  refused: '#b91c1c',
  ended: '#4b5563',
}

/**
 * One mail, as text and as HTML. All mails about an approval are one thread (RFC 5322, 3.6.4): the first has an id that
 * derives from the approval, unless `threadId` says which one the server gave it; the others refer to it, under the same
 * subject.
 */
export function mailOf(
  notification: Notification,
  {
    from,
    to,
    link,
    threadId,
  }: { from: Mailbox; to: readonly string[]; link: string | undefined; threadId: string | null },
): SendMailOptions {
  const text = notificationText(notification)
  const isFirst = notification.type === 'approval.requested'
  const thread = threadId ?? messageId(notification.approval.id, from)
  const subject = `[Countersign] ${text.subject}`
  const isUrgent = text.mood === 'asking' && (text.risk === 'high' || text.risk === 'critical')
  return {
    from,
    to: to.map((address) => ({ name: '', address })),
    subject: isFirst ? subject : `Re: ${subject}`,
    messageId: isFirst
      ? messageId(notification.approval.id, from)
      : messageId(`${notification.approval.id}.${notification.id}`, from),
    ...(isFirst ? {} : { inReplyTo: thread, references: thread }),
    date: new Date(notification.at),
    priority: isUrgent ? 'high' : 'normal',
    headers: { 'auto-submitted': 'auto-generated', 'x-auto-response-suppress': 'All' },
    text: plainText(text, link),
    html: htmlOf(text, link),
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

/** The same for the same words: a mail that is sent twice can be told from two mails. */
const messageId = (words: string, { address }: Mailbox): string =>
  `<${words.replace(/[^A-Za-z0-9_.-]/g, '-')}@${address.slice(address.lastIndexOf('@') + 1)}>`

function whatToDo({ mood }: NotificationText, link: string | undefined): string {
  if (mood !== 'asking') return link === undefined ? '' : 'The record: '
  return link === undefined ? 'Decide on the page of Countersign.' : 'Read and decide: '
}

function plainText(text: NotificationText, link: string | undefined): string {
  const last = `${whatToDo(text, link)}${link ?? ''}`
  return [text.title, '', ...plainLines(text), ...(last === '' ? [] : ['', last]), ''].join('\n')
}

function htmlOf(text: NotificationText, link: string | undefined): string {
  const { mood, title, summary, facts, argumentLines, argumentsCut } = text
  const cell = 'style="padding:2px 12px 2px 0;vertical-align:top;text-align:left"'
  const rows = facts.map(
    ({ name, value }) => `<tr><th scope="row" ${cell}>${escaped(name)}</th><td ${cell}>${escaped(value)}</td></tr>`,
  )
  const args =
    argumentLines.length === 0
      ? ''
      : `<p><b>Arguments</b> (secrets masked${argumentsCut ? ', shortened' : ''})</p>
<pre style="white-space:pre-wrap;overflow-wrap:anywhere;background:#f3f4f6;padding:12px">${argumentLines.map(escaped).join('\n')}</pre>`
  const label = mood === 'asking' ? 'Read and decide' : 'Open the record'
  const last = link === undefined ? escaped(whatToDo(text, link)) : `<a href="${escaped(link)}">${label}</a>`
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no"></head>
<body style="font-family:sans-serif;color:#111827">
<h1 style="font-size:18px;color:${COLOURS[mood]}">${escaped(title)}</h1>
<p style="overflow-wrap:anywhere">${escaped(summary)}</p>
<table style="border-collapse:collapse">
${rows.join('\n')}
</table>
${args}
<p>${last}</p>
</body></html>
`
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
