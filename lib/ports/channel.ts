import type { Notification } from '../core/notification.ts'

/** What came of one attempt to deliver. Words in `detail` go on record: they hold no secret. */
export type AttemptOutcome =
  /** `receipt` is kept, and handed to the later notifications of the same approval on this channel. */
  | { type: 'delivered'; status?: number; receipt?: string }
  /** Worth another try: on the ladder, or no sooner than `retryAfterMs`. */
  | { type: 'failed'; detail: string; status?: number; retryAfterMs?: number }
  /** No try will ever succeed. */
  | { type: 'rejected'; detail: string; status?: number }
  /** The receiver wants nothing any more, ever: the endpoint is disabled. */
  | { type: 'gone'; detail: string; status?: number }

export interface AttemptContext {
  /** 1 for the first. */
  attempt: number
  /** The latest receipt that this channel gave for this approval, or null. */
  receipt: string | null
  /** Aborts when the attempt takes too long or the service stops. */
  signal: AbortSignal
}

/** What a channel is given beside its settings. */
export interface ChannelDeps {
  tenant: Channel['tenant']
  wants: Channel['wants']
  /** Where people see the approval, or undefined when nobody said how they reach the page. */
  linkTo: (approvalId: string) => string | undefined
}

/** One way out to people or systems: a webhook endpoint, a Slack workspace, a mailbox. */
export interface Channel {
  /** Unique among all channels and webhook endpoints. */
  readonly id: string
  /** It is told of this tenant's approvals alone, whoever names it. */
  readonly tenant: string
  /** Whether it is to be told of this. An escalation step that names the channel tells it all the same. */
  wants(notification: Notification): boolean
  /** Tries once. The notifications of one approval come one after the other, in order. Rejecting counts as `failed`. */
  deliver(notification: Notification, context: AttemptContext): Promise<AttemptOutcome>
}
