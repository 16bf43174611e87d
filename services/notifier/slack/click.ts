import { Ajv } from 'ajv'
import { type Static, Type } from 'typebox'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { DecisionWord } from '../../../lib/core/events.ts'
import { isApprovalId } from '../../../lib/core/ids.ts'
import type { MessagePlace } from '../../../lib/ports/slack.ts'
import { Decision, LONGEST_REASON } from '../../../lib/runtime/schemas.ts'
import { BUTTONS } from './card.ts'
import { REASON } from './modals.ts'

/** Who Slack says has clicked, and where they are at home. */
export interface Clicker {
  userId: string
  /** Undefined where Slack does not say. */
  teamId: string | undefined
  appId: string | undefined
}

interface OnCard {
  by: Clicker
  approvalId: string
  place: MessagePlace
}

/** A button of a card was pressed. */
export interface ButtonClick extends OnCard {
  type: 'approve' | 'deny' | 'details'
  triggerId: string
}

/** The modal for a reason was sent. */
export interface ReasonClick extends OnCard {
  type: 'reason'
  decision: DecisionWord
  reason: string | null
}

export type Click = ButtonClick | ReasonClick

const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength })
/** A shared channel has users of other workspaces. In an organization's app the payload may have no team (null). */
const SENDER = {
  user: Type.Object({ id: Text(32), team_id: Type.Optional(Text(32)) }),
  team: Type.Optional(Type.Union([Type.Object({ id: Text(32) }), Type.Null()])),
  api_app_id: Type.Optional(Text(32)),
}
const Sender = Type.Object(SENDER)

const ButtonPressed = Type.Object({
  type: Type.Literal('block_actions'),
  ...SENDER,
  trigger_id: Text(200),
  container: Type.Object({ message_ts: Text(32), channel_id: Text(32) }),
  actions: Type.Array(Type.Object({ action_id: Text(255), value: Type.Optional(Text(2000)) }), {
    minItems: 1,
    maxItems: 1,
  }),
})
const ModalSent = Type.Object({
  type: Type.Literal('view_submission'),
  ...SENDER,
  view: Type.Object({
    callback_id: Type.Literal(REASON.view),
    private_metadata: Text(3000),
    state: Type.Object({
      values: Type.Object({
        [REASON.block]: Type.Object({
          [REASON.input]: Type.Object({
            value: Type.Optional(Type.Union([Type.String({ maxLength: LONGEST_REASON }), Type.Null()])),
          }),
        }),
      }),
    }),
  }),
})
const Metadata = Type.Object({ id: Text(64), decision: Decision, channel: Text(32), ts: Text(32) })

const ajv = new Ajv()
const isButtonPressed = ajv.compile<Static<typeof ButtonPressed>>(ButtonPressed)
const isModalSent = ajv.compile<Static<typeof ModalSent>>(ModalSent)
const isMetadata = ajv.compile<Static<typeof Metadata>>(Metadata)

/**
 * An interaction as Slack sends it; undefined for one that asks nothing of us (a link that was followed).
 * Throws `invalid_request` for anything that none of our cards and modals can send.
 */
export function readClick(payload: unknown): Click | undefined {
  if (isButtonPressed(payload)) return readButton(payload)
  if (isModalSent(payload)) {
    const { view } = payload
    const metadata = parsed(view.private_metadata)
    if (!isMetadata(metadata)) throw unknown()
    const { id, decision, ...place } = metadata
    const reason = view.state.values[REASON.block]?.[REASON.input]?.value ?? null
    return { type: 'reason', by: clickerOf(payload), approvalId: approvalIdOf(id), place, decision, reason }
  }
  throw unknown()
}

function readButton(payload: Static<typeof ButtonPressed>): Click | undefined {
  const { actions, container, trigger_id: triggerId } = payload
  const [action] = actions
  if (action?.action_id === BUTTONS.page) return undefined
  const type = (['approve', 'deny', 'details'] as const).find((name) => BUTTONS[name] === action?.action_id)
  if (type === undefined) throw unknown()
  const place = { channel: container.channel_id, ts: container.message_ts }
  return { type, by: clickerOf(payload), approvalId: approvalIdOf(action?.value ?? ''), place, triggerId }
}

const clickerOf = ({ user, team, api_app_id: appId }: Static<typeof Sender>): Clicker => ({
  userId: user.id,
  teamId: user.team_id ?? team?.id,
  appId,
})

function approvalIdOf(text: string): string {
  if (!isApprovalId(text)) throw unknown()
  return text
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const unknown = () => new CountersignError('invalid_request', 'This is no interaction with one of our cards.')
