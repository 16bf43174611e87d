import { printable } from '../../../lib/core/printable.ts'

/**
 * What somebody else wrote, for a text of Slack: one line, nothing invisible, and nothing that Slack acts on (mentions,
 * links, dates). `limit` counts what is sent, escapes and all. https://docs.slack.dev/messaging/formatting-message-text
 */
export function inert(text: string, limit: number): string {
  const pieces = Array.from(printable(text.slice(0, limit)), escapeOf)
  const whole = pieces.join('')
  if (whole.length <= limit && text.length <= limit) return whole
  let shown = ''
  for (const piece of pieces) {
    if (shown.length + piece.length > limit - 1) break
    shown += piece
  }
  return `${shown}…`
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
const escapeOf = (character: string): string => ESCAPES[character] ?? character

/** An instant as each reader's own clock shows it. */
export function dateToken(instant: string): string {
  const seconds = Math.floor(Date.parse(instant) / 1000)
  const fallback = `${instant.slice(0, 10)} ${instant.slice(11, 16)} UTC`
  return `<!date^${seconds}^{date_short_pretty} {time}|${fallback}>`
}

/** Text that Slack shows as it is; `text` must be inert. Slack takes no empty one. */
export const plain = (text: string) => ({ type: 'plain_text', text: text === '' ? '—' : text, emoji: false })

/** Our own words with dates, links and mentions: never with what somebody else wrote. */
export const marked = (text: string) => ({ type: 'mrkdwn', text, verbatim: true })
