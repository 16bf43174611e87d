import type { Risk } from '../../core/events.ts'
import { type NotificationText, notificationText, plainLines } from '../../core/notification-text.ts'
import type { Channel } from '../../ports/channel.ts'
import type { JsonChannelDeps } from '../../ports/json-sender.ts'

export interface NtfySettings {
  id: string
  /** The server, without the topic. */
  url: string
  topic: string
  token: string | undefined
  /** 1 to 5, while somebody must decide. */
  priority: Record<Risk, number>
}

/** From 4,096 bytes on the server turns a message into an attachment. */
const MAX_MESSAGE_BYTES = 3_800
const MAX_ARGUMENT_BYTES = 2_000
/** No sound: there is nothing left to do. */
const PRIORITY_OF_OUTCOMES = 2

const TAGS: Record<NotificationText['mood'], string> = {
  asking: 'raised_hand',
  allowed: 'white_check_mark',
  refused: 'no_entry',
  ended: 'hourglass',
}

/**
 * Messages on a topic of ntfy (https://docs.ntfy.sh/publish/#publish-as-json). From version 2.16 of the server on, the
 * notifications of one approval take each other's place on the phone. Nothing in a message decides.
 */
export function createNtfyChannel({ id, url, topic, token, priority }: NtfySettings, deps: JsonChannelDeps): Channel {
  return {
    id,
    tenant: deps.tenant,
    wants: deps.wants,
    async deliver(notification, { signal }) {
      const text = notificationText(notification, { maxArgumentBytes: MAX_ARGUMENT_BYTES })
      const asking = text.mood === 'asking'
      const click = deps.linkTo(notification.approval.id)
      const body = {
        topic,
        title: text.title,
        message: plainLines(text, MAX_MESSAGE_BYTES).join('\n'),
        priority: asking ? priority[text.risk] : PRIORITY_OF_OUTCOMES,
        tags: [asking && text.risk === 'critical' ? 'rotating_light' : TAGS[text.mood]],
        sequence_id: notification.approval.id,
        ...(click === undefined ? {} : { click }),
      }
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const { outcome } = await deps.send({ method: 'POST', url, headers, body }, signal)
      return outcome
    },
  }
}
