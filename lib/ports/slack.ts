/** A block or a view of Block Kit, as plain JSON (https://docs.slack.dev/reference/block-kit/). */
export type SlackBlock = { type: string; [key: string]: unknown }

export interface SlackMessage {
  /** What notifications and screen readers say. */
  text: string
  blocks: SlackBlock[]
}

/** Where a message stands: the id of its channel, and its timestamp, which is its name there. */
export interface MessagePlace {
  channel: string
  ts: string
}

/** Whose bot token it is. */
export interface SlackHome {
  /** The workspace. */
  teamId: string
  /** The app, or null where Slack does not say. */
  appId: string | null
}

export interface SlackUser {
  id: string
  teamId: string
  /** Null unless Slack says that it is confirmed. */
  email: string | null
  /** A full member of the workspace: no bot, no guest, nobody from elsewhere, not deactivated. */
  isMember: boolean
}

/** A call that Slack did not do. `reason` is Slack's own word (`channel_not_found`), or ours; it holds no secret. */
export class SlackError extends Error {
  readonly reason: string
  readonly status: number | null
  /** Of a rate limit: when Slack will listen again. */
  readonly retryAfterMs: number | null
  /** Slack certainly did nothing: it refused, or was never reached. Otherwise it may have done it. */
  readonly isUntaken: boolean
  constructor(
    reason: string,
    more: { status?: number; retryAfterMs?: number; isUntaken?: boolean; cause?: unknown } = {},
  ) {
    super(`Slack: ${reason}`, { cause: more.cause })
    this.name = 'SlackError'
    this.reason = reason
    this.status = more.status ?? null
    this.retryAfterMs = more.retryAfterMs ?? null
    this.isUntaken = more.isUntaken ?? false
  }
}

/** What the notifier asks of a Slack workspace. Each call is tried once, within a time of its own, or rejects with SlackError. */
export interface SlackApi {
  /** Asked once. */
  home(): Promise<SlackHome>
  /** Posts to a channel, or to the thread of the message `thread`. `about` can be found again by `find`. */
  post(channel: string, message: SlackMessage, options?: { thread?: string; about?: string }): Promise<MessagePlace>
  update(place: MessagePlace, message: SlackMessage): Promise<void>
  /**
   * Our message about this that stands in the channel since then (ms), or undefined when there is none. Rejects with
   * SlackError where that cannot be known: the token may not read the channel, or not list channels to know the id of a
   * name.
   */
  find(channel: string, about: string, since: number): Promise<MessagePlace | undefined>
  /** A line that one member of the channel alone sees. */
  whisper(channel: string, user: string, text: string): Promise<void>
  /** Opens a modal; `triggerId` is good for three seconds after the click. */
  openView(triggerId: string, view: SlackBlock): Promise<void>
  user(id: string): Promise<SlackUser>
}

/** Slack's Socket Mode: interactions come in on a connection that we opened. */
export interface SlackSocket {
  /** `answer` gets each payload; what it resolves with is acknowledged, and nothing is when it rejects. */
  start(answer: (payload: unknown) => Promise<object | undefined>): void
  close(): Promise<void>
}
