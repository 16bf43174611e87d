import type { AttemptOutcome } from './channel.ts'

/** One message to a stranger's URL (Standard Webhooks 1.0.0). */
export interface WebhookMessage {
  url: string
  /** The same in every attempt: a receiver that got it already forgets the rest. */
  id: string
  /** Unlike the id it is of this attempt: receivers refuse what is old. Milliseconds since the epoch. */
  at: number
  /** JSON text. */
  body: string
  /** `whsec_…`, the newest first; all of them sign. */
  secrets: readonly string[]
}

/**
 * Posts to places that people and agents name. Reaches no private address, not even by a name that resolves to one, but
 * those that the configuration allows; follows no redirect; keeps nothing of an answer but its status.
 */
export interface WebhookSender {
  /** Never rejects. 2xx is `delivered`, 410 is `gone`, anything else `failed`. */
  send(message: WebhookMessage, signal: AbortSignal): Promise<AttemptOutcome>
  /**
   * Why no message can ever go to this URL, without its words; undefined: nothing speaks against it so far. What a name
   * leads to is judged when a message is sent.
   */
  refusal(url: string): string | undefined
  close(): Promise<void>
}
