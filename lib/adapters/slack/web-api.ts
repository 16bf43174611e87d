import {
  WebAPIHTTPError,
  WebAPIPlatformError,
  WebAPIRateLimitedError,
  WebAPIRequestError,
  WebClient,
} from '@slack/web-api'
import { type MessagePlace, type SlackApi, type SlackBlock, SlackError, type SlackUser } from '../../ports/slack.ts'
import { quietLogger, type SlackLogger } from './quiet-logger.ts'

/** Marks our messages in their metadata, which people do not see. */
const ABOUT = 'countersign_approval'
const HISTORY_LIMIT = 200

/** Text is text: nothing in it becomes a link or a mention, and nothing is unfolded. */
const LITERAL = { parse: 'none', link_names: false, unfurl_links: false, unfurl_media: false } as const

/** Slack's Web API. Retries are the caller's business: each call is made once. */
export function createSlackApi(options: {
  token: string
  /** Ends in a slash. */
  apiUrl: string
  timeoutMs: number
  log: SlackLogger
}): SlackApi {
  const { token, apiUrl, timeoutMs, log } = options
  const client = new WebClient(token, {
    slackApiUrl: apiUrl,
    allowAbsoluteUrls: false,
    timeout: timeoutMs,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    logger: quietLogger(log, 'web-api'),
  })
  const call = async (method: string, args: Record<string, unknown>): Promise<Record<string, unknown>> => {
    try {
      return { ...(await client.apiCall(method, args)) }
    } catch (error) {
      throw asSlackError(error)
    }
  }

  let knownTeam: string | undefined
  /** By the name that it was posted to: only posting takes names. */
  const channelIds = new Map<string, string>()
  return {
    async team() {
      knownTeam ??= textOf((await call('auth.test', {})).team_id)
      return knownTeam
    },
    async post(channel, { text, blocks }, { thread, about } = {}) {
      const answer = await call('chat.postMessage', {
        ...{ channel, text, blocks, ...LITERAL },
        ...(thread === undefined ? {} : { thread_ts: thread }),
        ...(about === undefined ? {} : { metadata: { event_type: ABOUT, event_payload: { about } } }),
      })
      const place = { channel: textOf(answer.channel), ts: textOf(answer.ts) }
      channelIds.set(channel, place.channel)
      return place
    },
    async update({ channel, ts }, { text, blocks }) {
      await call('chat.update', { channel, ts, text, blocks, parse: 'none', link_names: false })
    },
    async find(name, about, since) {
      const channel = channelIds.get(name) ?? name
      try {
        const oldest = String(Math.floor(since / 1000))
        const args = { channel, oldest, limit: HISTORY_LIMIT, include_all_metadata: true }
        const { messages } = await call('conversations.history', args)
        return Array.isArray(messages) ? placeAmong(messages, channel, about) : undefined
      } catch (error) {
        // A name that nothing was posted to yet, or a token without the scope: then nothing can be found.
        if (error instanceof SlackError && NOT_READABLE.has(error.reason)) return undefined
        throw error
      }
    },
    async whisper(channel, user, text) {
      await call('chat.postEphemeral', { channel, user, text, parse: 'none', link_names: false })
    },
    async openView(triggerId: string, view: SlackBlock) {
      await call('views.open', { trigger_id: triggerId, view })
    },
    async user(id) {
      return userOf((await call('users.info', { user: id })).user)
    },
  }
}

const NOT_READABLE = new Set(['missing_scope', 'channel_not_found', 'not_in_channel', 'no_permission'])

function placeAmong(messages: unknown[], channel: string, about: string): MessagePlace | undefined {
  for (const message of messages) {
    const { ts, metadata } = message as { ts?: unknown; metadata?: { event_type?: unknown; event_payload?: unknown } }
    const payload = metadata?.event_payload as { about?: unknown } | undefined
    if (metadata?.event_type === ABOUT && payload?.about === about && typeof ts === 'string') return { channel, ts }
  }
  return undefined
}

/** Everything that Slack does not say is taken to be the worse. */
function userOf(found: unknown): SlackUser {
  const user = (typeof found === 'object' && found !== null ? found : {}) as Record<string, unknown>
  const { email } = (user.profile ?? {}) as { email?: unknown }
  const isOther = ['deleted', 'is_bot', 'is_restricted', 'is_ultra_restricted', 'is_stranger', 'is_app_user'].some(
    (mark) => user[mark] === true,
  )
  return {
    id: textOf(user.id),
    teamId: textOf(user.team_id),
    email: user.is_email_confirmed === true && typeof email === 'string' ? email : null,
    isMember: !isOther,
  }
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new SlackError('malformed_answer')
  return value
}

function asSlackError(error: unknown): SlackError {
  if (error instanceof WebAPIRateLimitedError)
    return new SlackError('ratelimited', { status: 429, retryAfterMs: error.retryAfter * 1000 })
  if (error instanceof WebAPIPlatformError) return new SlackError(word(error.data.error), { status: 200 })
  if (error instanceof WebAPIHTTPError) return new SlackError(`http_${error.statusCode}`, { status: error.statusCode })
  // Only the name of what went wrong: an error of the network may quote what was sent.
  const reason =
    error instanceof WebAPIRequestError && error.original.name === 'TimeoutError' ? 'timeout' : 'unreachable'
  return new SlackError(reason, { cause: error })
}

/** Slack's own words are short and plain; anything else is not repeated. */
const word = (text: unknown): string => (typeof text === 'string' && /^[a-z0-9_]{1,64}$/.test(text) ? text : 'refused')
