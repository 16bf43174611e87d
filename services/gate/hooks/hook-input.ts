import { type Static, Type } from 'typebox'
import type { JsonObject } from '../../../lib/core/canonical-json.ts'
import { CountersignError } from '../../../lib/core/errors.ts'

/** Before a call: the first by every call, the second by one that Claude Code would ask its user about. */
const QUESTIONS = ['PreToolUse', 'PermissionRequest'] as const
/** After a call, with what came of it. */
const REPORTS = ['PostToolUse', 'PostToolUseFailure'] as const

export type Question = (typeof QUESTIONS)[number]
export type Report = (typeof REPORTS)[number]

/**
 * What Claude Code sends its hooks (https://code.claude.com/docs/en/hooks), as far as it counts here. Other fields are
 * left unread: they differ from version to version, and none of them changes what would run.
 */
export const HookBody = Type.Object(
  {
    hook_event_name: Type.String({ maxLength: 100, description: [...QUESTIONS, ...REPORTS].join(', ') }),
    session_id: Type.String({ minLength: 1, maxLength: 200 }),
    cwd: Type.Optional(Type.String({ maxLength: 4096 })),
    permission_mode: Type.Optional(Type.String({ maxLength: 50 })),
    tool_name: Type.String({ minLength: 1, maxLength: 200 }),
    tool_input: Type.Object({}, { additionalProperties: true }),
    tool_use_id: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Not of PermissionRequest.' })),
    agent_type: Type.Optional(Type.String({ maxLength: 200, description: 'Name of the subagent.' })),
    turn_id: Type.Optional(Type.String({ maxLength: 200, description: 'Sent by Codex alone.' })),
    error: Type.Optional(Type.String({ description: 'Of PostToolUseFailure.' })),
  },
  { additionalProperties: true },
)

/** A call at a hook, in our words. */
export interface HookCall {
  session: string
  tool: string
  input: JsonObject
  toolUseId: string | null
  cwd: string | null
  permissionMode: string | null
  agentType: string | null
  /** Codex takes no changed input in its answer to a PermissionRequest. */
  isCodex: boolean
}

export type Hook =
  | { type: 'question'; event: Question; call: HookCall }
  | { type: 'report'; event: Report; call: HookCall; error: string | null }

/** Throws `invalid_body` for an event that is none of ours. */
export function readHook(body: Static<typeof HookBody>): Hook {
  const call: HookCall = {
    session: body.session_id,
    tool: body.tool_name,
    input: body.tool_input as JsonObject,
    toolUseId: body.tool_use_id ?? null,
    cwd: body.cwd ?? null,
    permissionMode: body.permission_mode ?? null,
    agentType: body.agent_type ?? null,
    isCodex: body.turn_id !== undefined,
  }
  const { hook_event_name: name } = body
  const question = QUESTIONS.find((each) => each === name)
  if (question) return { type: 'question', event: question, call }
  const report = REPORTS.find((each) => each === name)
  if (report) return { type: 'report', event: report, call, error: body.error ?? null }
  throw new CountersignError(
    'invalid_body',
    `hook_event_name is none of ${[...QUESTIONS, ...REPORTS].join(', ')}: take this hook off the other events.`,
  )
}

/** The event of a body that could not be read; the first question where it does not say. */
export function eventOf(body: unknown): Question | Report {
  const name: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'hook_event_name') : undefined
  return [...QUESTIONS, ...REPORTS].find((each) => each === name) ?? 'PreToolUse'
}

export const isReport = (event: Question | Report): event is Report => REPORTS.some((each) => each === event)
