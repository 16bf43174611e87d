import { createHash } from 'node:crypto'
import type { AgentRef } from '../../../lib/core/actor.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'
import type { ActionSummary } from '../../../lib/core/events.ts'
import { fingerprint } from '../../../lib/core/fingerprint.ts'
import { targetUrl } from '../../../lib/core/policy/target.ts'
import { previewOf, redactText, summaryOf } from '../../../lib/core/preview.ts'
import type { ReadBody } from './body.ts'
import type { Destination } from './destination.ts'
import { operationIn } from './operation.ts'
import type { Peeked } from './peek.ts'

export interface HttpCall extends Destination {
  method: string
  /** Those that are forwarded, without what the gate adds; `upgrade` where the call opens a WebSocket. */
  headers: Readonly<Record<string, string[]>>
  peeked: Peeked
  body: ReadBody
  /** What the agent says of the call. */
  context: { session: string | null; user: string | null }
}

/**
 * Differ between two tries of the same call, or say who carries it and how, and change nothing of what it does.
 * Every other header is part of the call.
 */
const NOISE =
  /^(?:accept-encoding|accept-language|amz-sdk-.*|b3|baggage|cache-control|content-length|date|dnt|idempotency-key|pragma|priority|sec-(?:ch|fetch)-.*|sec-gpc|sec-websocket-(?:extensions|key|version)|sentry-trace|traceparent|tracestate|user-agent|x-amzn-trace-id|x-b3-.*|x-cloud-trace-context|x-correlation-id|x-datadog-.*|x-request-id|x-stainless-.*|x-stripe-client-.*)$/

/** The headers that say what a call does. */
const telling = (headers: HttpCall['headers']): [string, string[]][] =>
  Object.entries(headers).filter(([name]) => !NOISE.test(name))

/** The call as an approver sees it. */
export function httpAction(asked: {
  tenant: string
  agent: AgentRef
  call: HttpCall
  ruleRevision: string
}): ActionSummary {
  const { call } = asked
  const { method, target, upstream, body } = call
  const url = targetUrl(target)
  const shown: JsonObject = { upstream: upstream.name, method, url }
  const headers = telling(call.headers).map(([name, values]) => [name, values.length === 1 ? values[0] : values])
  if (headers.length > 0) shown.headers = Object.fromEntries(headers) as JsonObject
  if (body.shown !== undefined) shown.body = body.shown
  const { preview, truncated } = previewOf(shown)
  const verb = call.headers.upgrade === undefined ? method : `${method} (opens a WebSocket)`
  return {
    kind: 'http',
    tool: null,
    method,
    target: redactText(url),
    summary: summaryOf(`${verb} ${target.host}${target.path}`, told(call)),
    preview,
    previewTruncated: truncated || body.cut,
    fingerprint: call.peeked.whole ? fingerprintOf(asked, url) : null,
  }
}

/** What the one line of a summary has room for: first what the body asks for, then its fields, and the query's. */
function told({ target, body }: HttpCall): JsonObject {
  const values = target.queryValues ?? {}
  const query = Object.fromEntries(
    Object.entries(values).map(([name, given]): [string, Json] => [
      `?${name}`,
      given.length === 1 ? (given[0] ?? '') : [...given],
    ]),
  )
  const { shown } = body
  const operation = operationIn(shown, values)
  // The document has been put in words; its variables say what it does it to.
  const fields = 'graphql' in operation ? variablesOf(shown) : isJsonObject(shown) ? shown : bodyOf(shown)
  // First and last: no field that has the same name stands for it.
  return { ...operation, ...fields, ...operation, ...query }
}

const variablesOf = (shown: Json | undefined): JsonObject =>
  isJsonObject(shown) && isJsonObject(shown.variables) ? shown.variables : {}

const bodyOf = (shown: Json | undefined): JsonObject => (shown === undefined ? {} : { body: shown })

/** Two calls are the same when no byte of their bodies, and nothing else that tells, differs. */
function fingerprintOf({ tenant, agent, call, ruleRevision }: Parameters<typeof httpAction>[0], url: string): string {
  const sorted = telling(call.headers).sort(([one], [other]) => (one < other ? -1 : 1))
  return fingerprint({
    tenant,
    agentId: agent.id,
    kind: 'http',
    name: `${call.method} ${url}`,
    args: {
      upstream: call.upstream.name,
      headers: sorted,
      bodySha256: createHash('sha256').update(call.peeked.bytes).digest('hex'),
    },
    ruleRevision,
    ...call.context,
  })
}
