import {
  WebAPIHTTPError,
  WebAPIPlatformError,
  WebAPIRateLimitedError,
  WebAPIRequestError,
  WebClient,
} from '@slack/web-api'
import {
  type MessagePlace,
  type SlackApi,
  type SlackBlock,
  SlackError,
  type SlackHome,
  type SlackUser,
} from '../../ports/slack.ts'
import { ChannelIds, nextCursorOf } from './channel-ids.ts'
import { quietLogger, type SlackLogger } from './quiet-logger.ts'

/** Marks our messages in their metadata, which people do not see. */
const ABOUT = 'countersign_approval'
const HISTORY_PAGE = 200
const MOST_HISTORY_PAGES = 10

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

  let home: SlackHome | undefined
  const channelIds = new ChannelIds(call)
  return {
    async home() {
      home ??= homeOf(await call('auth.test', {}))
      return home
    },
    async post(channel, { text, blocks }, { thread, about } = {}) {
      const answer = await call('chat.postMessage', {
        ...{ channel, text, blocks, ...LITERAL },
        ...(thread === undefined ? {} : { thread_ts: thread }),
        ...(about === undefined ? {} : { metadata: { event_type: ABOUT, event_payload: { about } } }),
      })
      const place = { channel: textOf(answer.channel), ts: textOf(answer.ts) }
      channelIds.learn(channel, place.channel)
      return place
    },
    async update({ channel, ts }, { text, blocks }) {
      await call('chat.update', { channel, ts, text, blocks, parse: 'none', link_names: false })
    },
    async find(name, about, since) {
      const channel = await channelIds.of(name)
      if (channel === undefined) return undefined
      const oldest = String(Math.floor(since / 1000))
      let cursor = ''
      for (let page = 0; page < MOST_HISTORY_PAGES; page++) {
        const args = { channel, oldest, limit: HISTORY_PAGE, include_all_metadata: true }
        const answer = await call('conversations.history', cursor === '' ? args : { ...args, cursor })
        if (!Array.isArray(answer.messages)) throw new SlackError('malformed_answer')
        const place = placeAmong(answer.messages, channel, about)
        cursor = nextCursorOf(answer)
        if (place || cursor === '') return place
      }
      throw new SlackError('history_too_long')
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

function homeOf({ team_id: teamId, app_id: appId }: Record<string, unknown>): SlackHome {
  return { teamId: textOf(teamId), appId: typeof appId === 'string' && appId !== '' ? appId : null }
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new SlackError('malformed_answer')
  return value
}

/** Slack's words for what broke on its side, perhaps after it was done. */
const BROKEN = new Set(['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout'])
/** No connection came about. */
const UNCONNECTED = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'],
])

function asSlackError(error: unknown): SlackError {
  if (error instanceof WebAPIRateLimitedError)
    return new SlackError('ratelimited', { status: 429, retryAfterMs: error.retryAfter * 1000, isUntaken: true })
  if (error instanceof WebAPIPlatformError) {
    const reason = word(error.data.error)
    return new SlackError(reason, { status: 200, isUntaken: !BROKEN.has(reason) })
  }
  if (error instanceof WebAPIHTTPError) {
    const { statusCode: status } = error
    return new SlackError(`http_${status}`, { status, isUntaken: status >= 400 && status < 500 && status !== 408 })
  }
  if (!(error instanceof WebAPIRequestError)) return new SlackError('unreachable', { cause: error })
  // Only the name of what went wrong: an error of the network may quote what was sent.
  const reason = error.original.name === 'TimeoutError' ? 'timeout' : 'unreachable'
  const { code } = (error.original.cause ?? {}) as { code?: unknown }
  return new SlackError(reason, { cause: error, isUntaken: typeof code === 'string' && UNCONNECTED.has(code) })
}

/** Slack's own words are short and plain; anything else is not repeated. */
const word = (text: unknown): string => (typeof text === 'string' && /^[a-z0-9_]{1,64}$/.test(text) ? text : 'refused')
