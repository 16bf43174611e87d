import { type Approval, dueAt, endedAt, Status } from '../../core/approval.ts'

/** A record as MongoDB keeps it: the record itself, and beside it what is searched and not a field of its own. */
export interface ApprovalDocument extends Omit<Approval, 'id'> {
  _id: string
  /** The summary in lower case. */
  search: string
  /** Absent when never again. */
  dueAt?: number
  /** Absent while it has not ended. */
  endedAt?: number
}

/** The states in which a record may answer the same call. */
export const ANSWERING: Status[] = [Status.pending, Status.approved, Status.claimed, Status.denied]

export function documentOf(approval: Approval): ApprovalDocument {
  const { id, ...record } = approval
  const due = dueAt(approval)
  const ended = endedAt(approval)
  return {
    _id: id,
    ...record,
    search: approval.action.summary.toLowerCase(),
    ...(due === null ? {} : { dueAt: due }),
    ...(ended === null ? {} : { endedAt: ended }),
  }
}

export function approvalOf(document: ApprovalDocument): Approval {
  const { _id, search, dueAt, endedAt, ...record } = document
  return { id: _id, ...record }
}
