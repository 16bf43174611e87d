import type { ApprovalView } from './view.ts'

/** What people and systems are told of. */
export const NOTIFICATION_TYPES = [
  'approval.requested',
  'approval.decided',
  'approval.settled',
  'approval.expiring',
  'approval.escalated',
] as const
export type NotificationType = (typeof NOTIFICATION_TYPES)[number]

/** Something that happened to an approval, with the record as it stood right after. */
export interface Notification {
  /** The event's id: the same in every attempt and for every endpoint. */
  id: string
  type: NotificationType
  /** When it happened, in milliseconds since the epoch. */
  at: number
  approval: ApprovalView
  /** Of `approval.escalated`: which step it is (1 is the first), and the endpoints that the step names. */
  escalation?: { step: number; channels: string[] }
}
