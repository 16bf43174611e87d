import fc from 'fast-check'
import { ON_TIMEOUT, RISKS, Topic, type TopicEvents } from '../../../../lib/core/events.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\u0000', 'Zürich 東京 🏔️', '\u202egnp.exe', '__proto__'),
  fc.integer({ min: 50, max: 3000 }).map((length) => 'ü🏔x'.repeat(length)),
)
const texts = fc.array(text, { maxLength: 5 })
const record: typeof fc.record = (model: object) => fc.record(model as never, { noNullPrototype: true })
const nullable = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const count = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const millis = fc.integer({ min: 0, max: 253_402_300_799_999 })
const duration = fc.maxSafeNat().filter((value) => value < Number.MAX_SAFE_INTEGER)
const actor = record({
  id: text,
  name: text,
  type: fc.constantFrom('user', 'system', 'agent'),
  via: fc.constantFrom('http', 'ws', 'slack', 'cli', 'link', 'topic', 'grant', 'sweeper'),
})

const requirements = fc.array(record({ rule: text, anyOf: texts, approve: count }), { maxLength: 5 })

/** Everything that TypeScript lets a service publish, by topic. */
export const payloads: { [T in Topic]: fc.Arbitrary<TopicEvents[T]> } = {
  'approval.requested': record({
    id: text,
    tenant: text,
    agent: record({ id: text, name: text, session: nullable(text), user: nullable(text) }),
    action: record({
      kind: fc.constantFrom('tool', 'http', 'mcp', 'hook'),
      tool: nullable(text),
      method: nullable(text),
      target: nullable(text),
      summary: text,
      preview: text,
      previewTruncated: fc.boolean(),
      fingerprint: nullable(text),
    }),
    rule: record({ id: text, revision: text, ids: texts, why: texts }),
    risk: fc.constantFrom(...RISKS),
    approvers: texts,
    requirements,
    threshold: record({ approve: count, deny: count }),
    reasonRequired: fc.subarray(['approve', 'deny']),
    holder: nullable(text),
    keep: fc.boolean(),
    denialMemoryMs: duration,
    requestedAt: millis,
    timeoutMs: duration,
    findings: fc.array(
      record({ detector: text, severity: fc.constantFrom(...RISKS), message: text, path: nullable(text) }),
      { maxLength: 3 },
    ),
    suggestion: nullable(record({ by: text, edits: text, reason: nullable(text) })),
    escalation: fc.array(record({ rule: text, afterMs: duration, approvers: texts, channels: texts }), {
      maxLength: 3,
    }),
    onTimeout: fc.constantFrom(...ON_TIMEOUT),
    warnAfterMs: nullable(duration),
    callback: nullable(text),
  }),
  'approval.decide': record({
    commandId: text,
    id: text,
    tenant: text,
    decision: fc.constantFrom('approve', 'deny', 'cancel'),
    actor,
    reason: nullable(text),
    edits: nullable(text),
    at: millis,
  }),
  'approval.decided': record({
    id: text,
    tenant: text,
    outcome: fc.constantFrom('approved', 'denied', 'expired', 'cancelled'),
    decidedBy: fc.array(actor, { maxLength: 3 }),
    reason: nullable(text),
    edited: fc.boolean(),
    decidedAt: millis,
    version: count,
    fingerprint: nullable(text),
    historyHash: text,
  }),
  'approval.settled': record({
    id: text,
    tenant: text,
    use: count,
    outcome: fc.constantFrom('executed', 'failed', 'not_executed', 'unknown'),
    status: nullable(count),
    detail: nullable(text),
    gate: text,
    settledAt: millis,
    version: nullable(count),
    historyHash: nullable(text),
  }),
  'approval.expiring': record({
    id: text,
    tenant: text,
    expiresAt: millis,
    version: count,
    historyHash: text,
    at: millis,
  }),
  'approval.escalated': record({
    id: text,
    tenant: text,
    step: count,
    approvers: texts,
    requirements,
    added: texts,
    channels: texts,
    expiresAt: millis,
    version: count,
    historyHash: text,
    at: millis,
  }),
}

const eventOf = <T extends Topic>(topic: T) =>
  record({
    topic: fc.constant(topic),
    eventId: fc.string({ unit: 'binary', minLength: 1 }),
    at: millis,
    data: payloads[topic],
  })

export const events = fc.oneof(
  eventOf(Topic.requested),
  eventOf(Topic.decide),
  eventOf(Topic.decided),
  eventOf(Topic.settled),
  eventOf(Topic.expiring),
  eventOf(Topic.escalated),
)
