import { isJsonObject, type Json } from '../../core/canonical-json.ts'
import type { Notification } from '../../core/notification.ts'
import type { AttemptOutcome, Channel } from '../../ports/channel.ts'
import type { JsonChannelDeps, JsonReply } from '../../ports/json-sender.ts'
import { embedOf } from './embed.ts'

export interface DiscordSettings {
  id: string
  /** Of an incoming webhook of a channel. A secret: who has it can post. */
  url: string
}

/** Codes in the body of a 404 (https://discord.com/developers/docs/topics/opcodes-and-status-codes). */
const UNKNOWN_MESSAGE = 10_008
const UNKNOWN_WEBHOOK = 10_015

/**
 * Embeds by an incoming webhook of Discord, to look at: nothing in them decides. An outcome takes the place of the
 * question where that was posted. Nobody is ever mentioned.
 */
export function createDiscordChannel({ id, url }: DiscordSettings, deps: JsonChannelDeps): Channel {
  function bodyOf(notification: Notification): Json {
    const embed = embedOf(notification, deps.linkTo(notification.approval.id))
    return { embeds: [embed], allowed_mentions: { parse: [] } }
  }

  const post = (body: Json, signal: AbortSignal) =>
    deps.send({ method: 'POST', url: addressOf(url, '', { wait: 'true' }), body }, signal)
  const edit = (messageId: string, body: Json, signal: AbortSignal) =>
    deps.send({ method: 'PATCH', url: addressOf(url, `/messages/${messageId}`), body }, signal)

  return {
    id,
    tenant: deps.tenant,
    wants: deps.wants,
    async deliver(notification, { receipt, signal }) {
      const body = bodyOf(notification)
      const isOutcome = notification.type === 'approval.decided' || notification.type === 'approval.settled'
      if (isOutcome && receipt !== null) {
        const edited = await edit(receipt, body, signal)
        if (codeOf(edited) !== UNKNOWN_MESSAGE) return outcomeOf(edited)
      }
      const posted = await post(body, signal)
      const outcome = outcomeOf(posted)
      // Reminders are messages of their own: the outcome goes where the question stands.
      const isCard = notification.type === 'approval.requested' || receipt === null || isOutcome
      const messageId = messageIdOf(posted)
      return outcome.type === 'delivered' && isCard && messageId !== undefined
        ? { ...outcome, receipt: messageId }
        : outcome
    },
  }
}

/** The webhook's address with more behind its path; what it has in its query (`thread_id`) stays. */
function addressOf(url: string, path: string, query: Record<string, string> = {}): string {
  const address = new URL(url)
  address.pathname = address.pathname.replace(/\/+$/, '') + path
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value)
  return address.href
}

const fieldOf = ({ body }: JsonReply, name: string): Json | undefined =>
  body !== undefined && isJsonObject(body) ? body[name] : undefined

const codeOf = (reply: JsonReply): Json | undefined => fieldOf(reply, 'code')

function messageIdOf(reply: JsonReply): string | undefined {
  const id = fieldOf(reply, 'id')
  return typeof id === 'string' && /^\d{1,20}$/.test(id) ? id : undefined
}

const outcomeOf = (reply: JsonReply): AttemptOutcome =>
  codeOf(reply) === UNKNOWN_WEBHOOK
    ? { type: 'gone', status: 404, detail: 'the webhook was deleted in Discord' }
    : reply.outcome
