import type { Risk } from '../../core/events.ts'
import { notificationText, plainLines } from '../../core/notification-text.ts'
import type { Channel } from '../../ports/channel.ts'
import type { JsonChannelDeps } from '../../ports/json-sender.ts'

export interface GotifySettings {
  id: string
  /** The server, without `/message`. */
  url: string
  /** Of a Gotify application. */
  token: string
  /** 0 to 10, while somebody must decide. */
  priority: Record<Risk, number>
}

const MAX_MESSAGE_BYTES = 8_000
const MAX_ARGUMENT_BYTES = 4_000
/** No sound: there is nothing left to do. */
const PRIORITY_OF_OUTCOMES = 2

/** Messages of a Gotify application (https://gotify.net/docs/pushmsg), as plain text. Nothing in a message decides. */
export function createGotifyChannel({ id, url, token, priority }: GotifySettings, deps: JsonChannelDeps): Channel {
  const target = `${url.replace(/\/+$/, '')}/message`
  return {
    id,
    tenant: deps.tenant,
    wants: deps.wants,
    async deliver(notification, { signal }) {
      const text = notificationText(notification, { maxArgumentBytes: MAX_ARGUMENT_BYTES })
      const asking = text.mood === 'asking'
      const link = deps.linkTo(notification.approval.id)
      const body = {
        title: text.title,
        message: plainLines(text, MAX_MESSAGE_BYTES).join('\n'),
        priority: asking ? priority[text.risk] : PRIORITY_OF_OUTCOMES,
        extras: {
          'client::display': { contentType: 'text/plain' },
          ...(link === undefined ? {} : { 'client::notification': { click: { url: link } } }),
        },
      }
      const { outcome } = await deps.send(
        { method: 'POST', url: target, headers: { 'x-gotify-key': token }, body },
        signal,
      )
      return outcome
    },
  }
}
