import { Ajv } from 'ajv'
import { type Static, Type } from 'typebox'
import type { Problem } from '../../../lib/core/errors.ts'
import { RISKS } from '../../../lib/core/events.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'
import { Decision, Reason } from '../../../lib/runtime/schemas.ts'

export type ServerFrame =
  /** All that is pending. `reset`: what was missed is not known, forget everything else. `more`: another part follows. */
  | { type: 'snapshot'; items: ApprovalView[]; cursor: string; reset: boolean; more: boolean }
  | { type: 'event'; event: EventName; approval: ApprovalView; cursor: string }
  | { type: 'ack'; ref: string; approval: ApprovalView }
  | { type: 'error'; ref?: string; problem: Problem }

export type EventName = 'requested' | 'decided' | 'settled' | 'expiring' | 'escalated'

const closed = { additionalProperties: false }
const Text = Type.String({ minLength: 1, maxLength: 200 })

const Subscribe = Type.Object(
  {
    type: Type.Literal('subscribe'),
    filter: Type.Optional(
      Type.Object(
        { agent: Type.Optional(Text), tool: Type.Optional(Text), risk: Type.Optional(Type.Enum([...RISKS])) },
        closed,
      ),
    ),
    after: Type.Optional(Type.String({ maxLength: 8192 })),
  },
  closed,
)

const Decide = Type.Object(
  {
    type: Type.Literal('decide'),
    ref: Type.String({ minLength: 1, maxLength: 100 }),
    id: Text,
    decision: Decision,
    reason: Type.Optional(Reason),
    edits: Type.Optional(Type.Object({}, { additionalProperties: true })),
  },
  closed,
)

export type Subscribe = Static<typeof Subscribe>
export type Decide = Static<typeof Decide>
export type Filter = NonNullable<Subscribe['filter']>

const ajv = new Ajv({ allErrors: true, strict: false })
const frames = {
  subscribe: ajv.compile<Subscribe>(Subscribe),
  decide: ajv.compile<Decide>(Decide),
}

/** A client's frame, or what is wrong with it. */
export function parseFrame(frame: unknown): Subscribe | Decide | string {
  const type = typeof frame === 'object' && frame !== null && 'type' in frame ? frame.type : undefined
  if (type !== 'subscribe' && type !== 'decide') return 'A frame is {type: "subscribe"} or {type: "decide"}.'
  const validate = frames[type]
  if (validate(frame)) return frame
  return (validate.errors ?? [])
    .map(({ instancePath, message }) => `${instancePath.slice(1).replaceAll('/', '.') || type} ${message}`)
    .join('; ')
}
