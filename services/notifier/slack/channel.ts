import { Status } from '../../../lib/core/approval.ts'
import type { Notification } from '../../../lib/core/notification.ts'
import { notificationTest } from '../../../lib/core/notification-filter.ts'
import type { AttemptContext, AttemptOutcome, Channel } from '../../../lib/ports/channel.ts'
import { type MessagePlace, type SlackApi, SlackError } from '../../../lib/ports/slack.ts'
import type { SlackConfig } from '../../../lib/runtime/config/slack.ts'
import type { Cards } from './cards.ts'
import { followUpOf } from './follow-up.ts'
import type { People } from './people.ts'

const SLACK_CHANNEL = 'slack'

/** What the message itself makes impossible, however often it is tried. */
const HOPELESS = new Set(['invalid_blocks', 'invalid_blocks_format', 'invalid_arguments', 'msg_too_long', 'no_text'])
/** The card was deleted in Slack. */
const NO_CARD = new Set(['message_not_found', 'cant_update_message'])

/**
 * Approvals as cards in Slack: posted when asked, rewritten in place whenever something happens, with a thread that tells
 * what did. The receipt is where the card stands.
 */
export function createSlackChannel(deps: {
  api: Pick<SlackApi, 'post'>
  cards: Cards
  people: Pick<People, 'userNamed'>
  config: Pick<SlackConfig, 'routes' | 'tenant'> & { channel: string }
}): Channel {
  const { api, cards, people, config } = deps
  const routes = config.routes.map(({ channel, ...filter }) => ({
    channel,
    fits: notificationTest({ ...filter, events: [], tenant: null }),
  }))
  const channelFor = (notification: Notification): string =>
    routes.find(({ fits }) => fits(notification))?.channel ?? config.channel

  async function placeOf(notification: Notification, { receipt, attempt }: AttemptContext) {
    const known = receipt === null ? undefined : parseReceipt(receipt)
    if (known) return known
    // The first attempt to post has nothing before it that may have come through.
    if (notification.type === 'approval.requested' && attempt === 1) return undefined
    return cards.find(channelFor(notification), notification.approval)
  }

  async function deliver(notification: Notification, context: AttemptContext): Promise<MessagePlace | undefined> {
    const { approval } = notification
    const isOpen = approval.status === Status.pending
    const place = await placeOf(notification, context)
    // An attempt that was given up is made again: it must not post meanwhile.
    context.signal.throwIfAborted()
    // What was decided before anybody saw it needs no card.
    if (!place) return isOpen ? cards.post(channelFor(notification), approval) : undefined
    try {
      await cards.refresh(place, approval)
    } catch (error) {
      if (!isOpen || !(error instanceof SlackError) || !NO_CARD.has(error.reason)) throw error
      return cards.post(channelFor(notification), approval)
    }
    const requester = approval.agent.user === undefined ? undefined : people.userNamed(approval.agent.user)
    const followUp = followUpOf(notification, requester)
    context.signal.throwIfAborted()
    if (followUp) await api.post(place.channel, followUp, { thread: place.ts })
    return place
  }

  return {
    id: SLACK_CHANNEL,
    wants: ({ approval }) => approval.tenant === config.tenant,
    async deliver(notification, context): Promise<AttemptOutcome> {
      try {
        const place = await deliver(notification, context)
        return { type: 'delivered', ...(place ? { receipt: `${place.channel}/${place.ts}` } : {}) }
      } catch (error) {
        if (!(error instanceof SlackError)) throw error
        return outcomeOf(error)
      }
    },
  }
}

function parseReceipt(receipt: string): MessagePlace | undefined {
  const [, channel, ts] = /^([A-Z0-9]+)\/([0-9.]+)$/.exec(receipt) ?? []
  return channel === undefined || ts === undefined ? undefined : { channel, ts }
}

function outcomeOf({ reason, status, retryAfterMs }: SlackError): AttemptOutcome {
  const said = { detail: `Slack: ${reason}`, ...(status === null ? {} : { status }) }
  if (HOPELESS.has(reason) || NO_CARD.has(reason)) return { type: 'rejected', ...said }
  return { type: 'failed', ...said, ...(retryAfterMs === null ? {} : { retryAfterMs }) }
}
