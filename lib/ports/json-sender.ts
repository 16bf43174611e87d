import type { Json } from '../core/canonical-json.ts'
import type { AttemptOutcome, ChannelDeps } from './channel.ts'

export interface JsonRequest {
  method: 'POST' | 'PATCH'
  /** May hold a secret: it reaches no outcome. */
  url: string
  headers?: Record<string, string>
  body: Json
}

export interface JsonReply {
  /** What the answer means for a delivery, where the service has no rules of its own. */
  outcome: AttemptOutcome
  /** The answer's body, or undefined when it is no JSON. */
  body: Json | undefined
}

/** Sends JSON to a service that the configuration names. Redirects are not followed. Never rejects. */
export type JsonSender = (request: JsonRequest, signal: AbortSignal) => Promise<JsonReply>

/** What a channel is given that speaks JSON over HTTP. */
export interface JsonChannelDeps extends ChannelDeps {
  send: JsonSender
}
