import type { ApprovalView, Decision } from '../sdk/types.ts'

/** What the server sends to the page alone; records are as in the SDK. Instants are RFC 3339 UTC. */

export interface Session {
  id: string
  name: string
  tenant: string
  role: string
  groups: string[]
}

/** Problem details (RFC 9457), and what the page itself has to say when there was no answer. */
export interface Problem {
  code: string
  title: string
  status: number
  detail?: string
  traceId?: string
  approval?: ApprovalView
}

export interface SnapshotFrame {
  type: 'snapshot'
  /** Everything pending that this session may see, or a part of it. */
  items: ApprovalView[]
  cursor: string
  /** True: the server can't tell what was missed; forget what you had. */
  reset: boolean
  /** True: another part follows. */
  more: boolean
}

export type ServerFrame =
  | SnapshotFrame
  | { type: 'event'; event: string; approval: ApprovalView; cursor: string }
  | { type: 'ack'; ref: string; approval: ApprovalView }
  | { type: 'error'; ref?: string; problem: Problem }

export type ClientFrame =
  | { type: 'subscribe'; after?: string }
  | ({ type: 'decide'; ref: string; id: string; decision: Decision } & DecisionMore)

/** What may go with a decision; `edits` is a JSON merge patch (RFC 7396) on the arguments. */
export interface DecisionMore {
  reason?: string
  edits?: object
}
