import type { Notification } from '../../core/notification.ts'
import { fitted, type NotificationText, notificationText } from '../../core/notification-text.ts'

/** Of 4,096 characters for a description and 6,000 for the whole embed. */
const MAX_ARGUMENT_BYTES = 2_000
const MAX_SUMMARY_BYTES = 1_000
const MAX_FIELDS_CHARACTERS = 2_400
const MAX_FIELD_CHARACTERS = 1_000
const MAX_FIELDS = 20

const COLOURS: Record<NotificationText['mood'], number> = {
  asking: 0x3b82f6,
  allowed: 0x16a34a,
  refused: 0xdc2626,
  ended: 0x6b7280,
}

/** Within Discord's limits (https://discord.com/developers/docs/resources/message#embed-object-embed-limits). */
export function embedOf(notification: Notification, link: string | undefined) {
  const text = notificationText(notification, { maxArgumentBytes: MAX_ARGUMENT_BYTES })
  const { mood, title, summary, facts, argumentLines, argumentsCut } = text
  const args = argumentLines.length === 0 ? [] : [codeBlock(argumentLines, 'json')]
  return {
    title: escaped(title).slice(0, 256),
    description: [codeBlock(fitted([summary], MAX_SUMMARY_BYTES)), ...args].join('\n'),
    color: COLOURS[mood],
    fields: fieldsOf(facts),
    timestamp: new Date(notification.at).toISOString(),
    ...(argumentsCut ? { footer: { text: 'The arguments are shortened.' } } : {}),
    ...(link === undefined ? {} : { url: link }),
  }
}

/** Facts of one name share a field. Those that there is no room for are left out, the first ones come first. */
function fieldsOf(facts: NotificationText['facts']) {
  const values = new Map<string, string[]>()
  for (const { name, value } of facts) values.set(name, [...(values.get(name) ?? []), escaped(value)])
  const fields: { name: string; value: string; inline: boolean }[] = []
  let left = MAX_FIELDS_CHARACTERS
  for (const [name, lines] of values) {
    const value = joined(lines, Math.min(left - name.length, MAX_FIELD_CHARACTERS))
    if (value === '' || fields.length === MAX_FIELDS) continue
    fields.push({ name, value, inline: lines.length === 1 && value.length <= 40 })
    left -= name.length + value.length
  }
  return fields
}

/** As many whole lines as there is room for: a cut could take the escape from what it escapes. */
function joined(lines: readonly string[], limit: number): string {
  let value = ''
  for (const line of lines) {
    const next = value === '' ? line : `${value}\n${line}`
    if (next.length > limit) break
    value = next
  }
  return value
}

/** In a code block nothing is markup but what ends it. */
const codeBlock = (lines: readonly string[], language = ''): string =>
  `\`\`\`${language}\n${lines.join('\n').replaceAll('`', 'ˋ')}\n\`\`\``

/** Every character that is markup in a text of Discord. */
const escaped = (text: string): string => text.replace(/[\\*_~`|>#<@:[\]()!&-]/g, '\\$&')
