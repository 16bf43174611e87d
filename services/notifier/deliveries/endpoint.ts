import type { Notification } from '../../../lib/core/notification.ts'
import type { AttemptOutcome } from '../../../lib/ports/channel.ts'
import type { Delivery } from '../../../lib/ports/delivery-store.ts'

/** Where deliveries go: a webhook endpoint, a channel, the callbacks of those who asked. */
export interface Endpoint {
  readonly id: string
  /** `*`: of those who asked, whatever their tenant. */
  readonly tenant: string
  /** Its name in metrics, of which there are few. */
  readonly label: string
  /** It hears of nothing that happened before. */
  readonly since: number
  /** False while it is switched off or disabled: nothing is made for it, and what waits stays. */
  readonly isOpen: boolean
  /** Whether failing for days switches it off, until a person switches it on again. */
  readonly canBeDisabled: boolean
  /** Whether it is told of what concerns endpoints and no approval. */
  readonly hearsOfEndpoints: boolean
  /** The approver in whose name links in its requests decide; null: they hold none. */
  readonly callbackAs: string | null
  wants(notification: Notification): boolean
  /** What is delivered of it; the same in every attempt. */
  bodyOf(notification: Notification): string
  /** Tries once. Rejecting counts as `failed`. */
  attempt(delivery: Delivery, signal: AbortSignal): Promise<AttemptOutcome>
}
