import type { Risk } from '../core/events.ts'
import type { NotificationType } from '../core/notification.ts'

/** What an endpoint is told of. Every key that is not empty must fit. */
export interface WebhookFilter {
  /** Empty: all. */
  events: NotificationType[]
  /** Globs on the tool or the HTTP target; empty: all. */
  tools: string[]
  /** Empty: all. */
  risks: Risk[]
}

export interface WebhookSecret {
  /** `whsec_…` (Standard Webhooks). */
  secret: string
  /** After this it signs no more, in milliseconds since the epoch; null: for good. */
  until: number | null
}

/** An endpoint that was made by the API; those of the configuration are not stored, but for their health. */
export interface Webhook {
  id: string
  tenant: string
  url: string
  description: string
  filter: WebhookFilter
  /** The newest first; several during a rotation. */
  secrets: WebhookSecret[]
  /** The approver in whose name callback links vote; null: the body carries none. */
  callbackAs: string | null
  /** Switched off by a person. */
  enabled: boolean
  createdAt: number
  updatedAt: number
  version: number
}

/**
 * When nothing was tried for longer than this, in milliseconds, an endpoint begins to fail anew: one failure says nothing
 * of the time before it. Longer than any step between two attempts of one delivery.
 */
export const FAILING_PAUSE_MS = 36 * 3_600_000

/** How an endpoint has been doing, whether it was made by the API or by the configuration. */
export interface EndpointHealth {
  endpoint: string
  tenant: string
  /** Since when every attempt has failed; null: the latest one did not. */
  failingSince: number | null
  /** Why and when it was disabled by itself; null: it was not. */
  disabled: { at: number; reason: 'gone' | 'failing' } | null
  lastAttemptAt: number | null
  lastSuccessAt: number | null
}

/** Every write is durable when its promise resolves. Any call rejects with `decider_unavailable` when the store is away. */
export interface WebhookStore {
  /** False when the id is taken. */
  insert(webhook: Webhook): Promise<boolean>
  get(id: string): Promise<Webhook | undefined>
  /** Compare-and-swap on `version`. */
  replace(expectedVersion: number, next: Webhook): Promise<boolean>
  /** False when there is no such endpoint. Its health goes with it. */
  remove(id: string): Promise<boolean>
  /** Every tenant's, in order of creation. */
  list(): Promise<Webhook[]>
  health(): Promise<EndpointHealth[]>
  /**
   * Notes how an attempt at `at` went: a success ends `failingSince`, a failure begins it, also when the latest attempt
   * is longer ago than FAILING_PAUSE_MS. A note that comes after one of a later attempt changes no more than
   * `lastSuccessAt`.
   */
  noted(note: { endpoint: string; tenant: string; at: number; succeeded: boolean }): Promise<EndpointHealth>
  /** False when it is disabled already: of several workers one tells of it. */
  disable(request: { endpoint: string; tenant: string; at: number; reason: 'gone' | 'failing' }): Promise<boolean>
  /** Back to health: not disabled, not failing. */
  enable(endpoint: string): Promise<void>
  close(): Promise<void>
}
