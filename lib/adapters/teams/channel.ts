import { type NotificationText, notificationText } from '../../core/notification-text.ts'
import type { Channel } from '../../ports/channel.ts'
import type { JsonChannelDeps } from '../../ports/json-sender.ts'

export interface TeamsSettings {
  id: string
  /** Of a workflow that posts cards («when a Teams webhook request is received»). A secret: who has it can post. */
  url: string
}

/** Of 28 KB for a message, with room for what JSON adds to each line. */
const LIMITS = { maxArgumentBytes: 4_000, maxArgumentLines: 60 }
const MAX_FACTS_BYTES = 10_000

const COLOURS: Record<NotificationText['mood'], string> = {
  asking: 'accent',
  allowed: 'good',
  refused: 'attention',
  ended: 'default',
}

/**
 * Adaptive Cards in a channel of Microsoft Teams, to look at: nothing on them decides. All that people or agents wrote is
 * in text runs, which know no Markdown.
 */
export function createTeamsChannel({ id, url }: TeamsSettings, deps: JsonChannelDeps): Channel {
  return {
    id,
    tenant: deps.tenant,
    wants: deps.wants,
    async deliver(notification, { signal }) {
      const content = cardOf(notificationText(notification, LIMITS), deps.linkTo(notification.approval.id))
      const attachment = { contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null, content }
      const body = { type: 'message', attachments: [attachment] }
      const { outcome } = await deps.send({ method: 'POST', url, body }, signal)
      return outcome
    },
  }
}

const run = (text: string, more: Record<string, string> = {}) => ({ type: 'TextRun', text, ...more })
const block = (inlines: ReturnType<typeof run>[], more: Record<string, string> = {}) => ({
  type: 'RichTextBlock',
  inlines,
  ...more,
})

function cardOf(text: NotificationText, link: string | undefined) {
  const { mood, title, summary, facts, argumentLines, argumentsCut } = text
  return {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [
      block([run(title, { weight: 'bolder', size: 'large', color: COLOURS[mood] })]),
      block([run(summary)]),
      ...factBlocks(facts),
      ...(argumentLines.length === 0
        ? []
        : [block([run(`Arguments (secrets masked${argumentsCut ? ', shortened' : ''})`, { weight: 'bolder' })])]),
      // A line break in a run would be drawn as a space, and so would an indent.
      ...argumentLines.map((line) =>
        block([run(line.replace(/^ +/, indent), { fontType: 'monospace', size: 'small' })], { spacing: 'none' }),
      ),
    ],
    ...(link === undefined ? {} : { actions: [{ type: 'Action.OpenUrl', title: 'Open the approval', url: link }] }),
  }
}

const indent = (spaces: string): string => '\u00a0'.repeat(spaces.length)

/** Those that there is room for. */
function factBlocks(facts: NotificationText['facts']) {
  let left = MAX_FACTS_BYTES
  return facts
    .map(({ name, value }) => block([run(`${name}: `, { weight: 'bolder' }), run(value)], { spacing: 'small' }))
    .filter((each) => {
      left -= Buffer.byteLength(JSON.stringify(each))
      return left >= 0
    })
}
