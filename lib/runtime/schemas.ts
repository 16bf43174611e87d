import { Type } from 'typebox'
import { STATUSES } from '../core/approval.ts'
import { RISKS } from '../core/events.ts'

/** JSON Schemas that several routes share: they validate, and they are the OpenAPI document. */
const literals = <T extends string>(values: readonly T[]) => Type.Enum([...values])

export const ApprovalId = Type.String({ pattern: '^apr_[0-9a-z]{26}$', examples: ['apr_01jd6x0q3v8m2c4k7s9t5w1y3z'] })
export const IdParams = Type.Object({ id: Type.String({ maxLength: 200 }) })
export const Decision = literals(['approve', 'deny'])
export const StatusWord = literals(STATUSES)
export const RiskWord = literals(RISKS)
const Instant = Type.String({ format: 'date-time' })

const ActorSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  type: literals(['user', 'system', 'agent']),
  via: literals(['http', 'ws', 'slack', 'cli', 'link', 'topic', 'grant', 'sweeper']),
})

export const ApprovalSchema = Type.Object({
  id: ApprovalId,
  tenant: Type.String(),
  status: StatusWord,
  agent: Type.Object({
    id: Type.String(),
    name: Type.String(),
    session: Type.Optional(Type.String()),
    user: Type.Optional(Type.String()),
  }),
  action: Type.Object({
    kind: Type.String(),
    tool: Type.Optional(Type.String()),
    method: Type.Optional(Type.String()),
    target: Type.Optional(Type.String()),
    summary: Type.String(),
    preview: Type.String({ description: 'The redacted arguments, as JSON text.' }),
    previewTruncated: Type.Boolean(),
    fingerprint: Type.Union([Type.String(), Type.Null()]),
  }),
  rule: Type.Object({
    id: Type.String(),
    revision: Type.String(),
    ids: Type.Array(Type.String()),
    why: Type.Array(Type.String()),
  }),
  risk: RiskWord,
  findings: Type.Optional(
    Type.Array(
      Type.Object({
        detector: Type.String({ description: 'A built-in detector, or `evaluator/` and the id of an external one.' }),
        severity: RiskWord,
        message: Type.String({ description: 'Untrusted text.' }),
        path: Type.Optional(Type.String()),
      }),
    ),
  ),
  suggestion: Type.Optional(
    Type.Object({
      by: Type.String({ description: 'Id of the evaluator.' }),
      edits: Type.Object({}, { additionalProperties: true, description: 'JSON merge patch (RFC 7396). Untrusted.' }),
      reason: Type.Optional(Type.String({ description: 'Untrusted text.' })),
    }),
  ),
  approvers: Type.Array(Type.String(), { description: 'Who may vote now; empty: every approver.' }),
  requirements: Type.Array(
    Type.Object({ rule: Type.String(), anyOf: Type.Array(Type.String()), approve: Type.Integer() }),
  ),
  threshold: Type.Object({ approve: Type.Integer(), deny: Type.Integer() }),
  reasonRequired: Type.Array(Decision),
  votes: Type.Array(
    Type.Object({ by: ActorSchema, decision: Decision, reason: Type.Optional(Type.String()), at: Instant }),
  ),
  decidedBy: Type.Array(ActorSchema),
  decidedAt: Type.Optional(Instant),
  reason: Type.Optional(Type.String({ description: 'Untrusted text of a person.' })),
  edited: Type.Optional(Type.Boolean()),
  settlement: Type.Optional(
    Type.Object({
      outcome: literals(['executed', 'failed', 'not_executed', 'unknown']),
      status: Type.Optional(Type.Integer()),
      detail: Type.Optional(Type.String()),
      settledAt: Instant,
    }),
  ),
  requestedAt: Instant,
  expiresAt: Instant,
  warnedAt: Type.Optional(
    Type.String({ format: 'date-time', description: 'When people were warned of this timeout.' }),
  ),
  escalated: Type.Optional(
    Type.Array(
      Type.Object({
        at: Instant,
        approvers: Type.Array(Type.String({ description: 'Whom the step added.' })),
        channels: Type.Array(Type.String({ description: 'The channels and webhook endpoints that it told.' })),
      }),
      { description: 'The steps of the escalation so far.' },
    ),
  ),
  version: Type.Integer(),
  history: Type.Optional(Type.Array(Type.Object({}, { additionalProperties: true }))),
})

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String()),
    code: Type.String(),
    retryable: Type.Boolean(),
    traceId: Type.Optional(Type.String()),
    approvalId: Type.Optional(Type.String()),
    expiresAt: Type.Optional(Instant),
    reason: Type.Optional(Type.String({ description: 'Untrusted text of a person, or why a rule denied.' })),
    approval: Type.Optional(Type.Unknown({ description: 'The record as it stands.' })),
    errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
  },
  { description: 'Problem details (RFC 9457).', additionalProperties: true },
)

/** The answers of a route: what it promises, and the problem body for everything else. */
export const answers = <T extends Record<number, unknown>>(promised: T) => ({
  ...promised,
  default: {
    description: 'A problem (docs/reference/errors.md).',
    content: { 'application/problem+json': { schema: ProblemSchema } },
  },
})

/** Characters of a reason at most. */
export const LONGEST_REASON = 2000

/** A person's own words: bounded, kept as text. */
export const Reason = Type.String({ maxLength: LONGEST_REASON })
