import { Status } from '../../../lib/core/approval.ts'
import type { Notification } from '../../../lib/core/notification.ts'
import { notificationTest } from '../../../lib/core/notification-filter.ts'
import { RecentMap } from '../../../lib/core/recent-map.ts'
import type { AttemptContext, AttemptOutcome, Channel } from '../../../lib/ports/channel.ts'
import { type MessagePlace, type SlackApi, SlackError } from '../../../lib/ports/slack.ts'
import type { SlackConfig } from '../../../lib/runtime/config/slack.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Cards } from './cards.ts'
import { followUpOf } from './follow-up.ts'
import type { People } from './people.ts'

const SLACK_CHANNEL = 'slack'

/** What the message itself makes impossible, however often it is tried. */
const HOPELESS = new Set(['invalid_blocks', 'invalid_blocks_format', 'invalid_arguments', 'msg_too_long', 'no_text'])
/** The card was deleted in Slack. */
const NO_CARD = new Set(['message_not_found', 'cant_update_message'])
/** The channel cannot be looked into, and that does not pass by itself. */
const UNREADABLE = new Set([
  ...['missing_scope', 'no_permission', 'not_in_channel', 'channel_not_found', 'access_denied'],
  ...['history_too_long', 'too_many_channels'],
])
const UNREADABLE_CHANNEL =
  'Slack does not let the bot look for a card that may stand in this channel already, and no second one is posted: see the scopes in docs/slack.md'
const REMEMBERED = 10_000

/**
 * Approvals as cards in Slack: posted when asked, rewritten in place whenever something happens, with a thread that tells
 * what did. The receipt is where the card stands.
 */
export function createSlackChannel(deps: {
  api: Pick<SlackApi, 'post'>
  cards: Cards
  people: Pick<People, 'userNamed'>
  config: Pick<SlackConfig, 'routes' | 'tenant'> & { channel: string }
  log: Pick<Logger, 'error'>
}): Channel {
  const { api, cards, people, config, log } = deps
  const routes = config.routes.map(({ channel, ...filter }) => ({
    channel,
    fits: notificationTest({ ...filter, events: [] }),
  }))
  const channelFor = (notification: Notification): string =>
    routes.find(({ fits }) => fits(notification))?.channel ?? config.channel

  /** By notification: the attempt up to which Slack certainly took no card for it. */
  const untaken = new RecentMap<string, number>(REMEMBERED)
  const unreadable = new Set<string>()

  /** The card that an earlier attempt, or a process that died, may have posted without learning where. */
  async function find(notification: Notification): Promise<MessagePlace | undefined> {
    const channel = channelFor(notification)
    try {
      return await cards.find(channel, notification.approval)
    } catch (error) {
      // A second card would be left with its buttons for ever, so that none is posted: said once for each channel.
      if (error instanceof SlackError && UNREADABLE.has(error.reason) && !unreadable.has(channel)) {
        unreadable.add(channel)
        log.error({ channel, reason: error.reason }, UNREADABLE_CHANNEL)
      }
      throw error
    }
  }

  async function post(notification: Notification, { attempt }: AttemptContext): Promise<MessagePlace> {
    try {
      return await cards.post(channelFor(notification), notification.approval)
    } catch (error) {
      if (error instanceof SlackError && error.isUntaken) untaken.set(notification.id, attempt)
      throw error
    }
  }

  /** Nothing was posted for this notification before: it is the first attempt, or Slack took none of the earlier ones. */
  const isFirstPost = ({ id }: Notification, { attempt }: AttemptContext): boolean =>
    attempt === 1 || untaken.get(id) === attempt - 1

  async function placeOf(notification: Notification, context: AttemptContext): Promise<MessagePlace | undefined> {
    const known = context.receipt === null ? undefined : parseReceipt(context.receipt)
    if (known) return known
    const isNew = notification.type === 'approval.requested' && isFirstPost(notification, context)
    return isNew ? undefined : find(notification)
  }

  /** In place of a card that somebody deleted. */
  async function postAgain(notification: Notification, context: AttemptContext): Promise<MessagePlace> {
    const standing = isFirstPost(notification, context) ? undefined : await find(notification)
    context.signal.throwIfAborted()
    return standing ?? post(notification, context)
  }

  async function deliver(notification: Notification, context: AttemptContext): Promise<MessagePlace | undefined> {
    const { approval } = notification
    const isOpen = approval.status === Status.pending
    const place = await placeOf(notification, context)
    // An attempt that was given up is made again: it must not post meanwhile.
    context.signal.throwIfAborted()
    // What was decided before anybody saw it needs no card.
    if (!place) return isOpen ? post(notification, context) : undefined
    try {
      await cards.refresh(place, approval)
    } catch (error) {
      if (!isOpen || !(error instanceof SlackError) || !NO_CARD.has(error.reason)) throw error
      return postAgain(notification, context)
    }
    const requester = approval.agent.user === undefined ? undefined : people.userNamed(approval.agent.user)
    const followUp = followUpOf(notification, requester)
    context.signal.throwIfAborted()
    if (followUp) await api.post(place.channel, followUp, { thread: place.ts })
    return place
  }

  return {
    id: SLACK_CHANNEL,
    tenant: config.tenant,
    wants: () => true,
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
