import { Status } from '../../../lib/core/approval.ts'
import { assertNever } from '../../../lib/core/assert-never.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'

/** A few words for where an approval stands, over its card. */
export function titleOf({ status, risk, settlement }: ApprovalView): string {
  switch (status) {
    case Status.pending:
      return `Approval needed: ${risk} risk`
    case Status.approved:
    case Status.claimed:
      return 'Approved'
    case Status.settled:
      return `Approved: ${wordOf(settlement?.outcome ?? 'unknown')}`
    case Status.denied:
      return 'Denied'
    case Status.expired:
      return 'Expired'
    case Status.cancelled:
      return 'Withdrawn'
    default:
      return assertNever(status)
  }
}

type Outcome = NonNullable<ApprovalView['settlement']>['outcome']
const WORDS: Readonly<Record<Outcome, string>> = {
  executed: 'executed',
  failed: 'failed',
  not_executed: 'not executed',
  unknown: 'outcome unknown',
}
const wordOf = (outcome: Outcome): string => WORDS[outcome]

/** Who decided, as a sentence; undefined while nobody has. Names in it are not escaped. */
export function decisionOf({ status, decidedBy, edited }: ApprovalView): string | undefined {
  const names = decidedBy.map(({ name, via }) => `${name} (${via})`).join(', ')
  switch (status) {
    case Status.pending:
      return undefined
    case Status.approved:
    case Status.claimed:
    case Status.settled:
      return `Approved by ${names}${edited ? ', with edited arguments' : ''}.`
    case Status.denied:
      return `Denied by ${names}.`
    case Status.expired:
      return names === '' ? 'Nobody decided in time.' : `Approved by ${names}, and not used in time.`
    case Status.cancelled:
      return 'The request was withdrawn.'
    default:
      return assertNever(status)
  }
}

/** What became of the call, as a sentence; undefined while nothing is known. Its detail is not escaped. */
export function settlementOf({ settlement }: ApprovalView): string | undefined {
  if (!settlement) return undefined
  const { outcome, status, detail } = settlement
  const said = [status === undefined ? '' : `status ${status}`, detail ?? ''].filter((part) => part !== '').join(', ')
  return `The call: ${wordOf(outcome)}${said === '' ? '' : ` (${said})`}.`
}

/** Who may vote, how many must, and who has. Names are not escaped. */
export function votesOf({ votes, threshold }: ApprovalView): string {
  const cast = votes.map(({ by, decision }) => `${by.name}: ${decision}`).join(', ')
  const { approve, deny } = threshold
  return `${approve} to approve, ${deny} to deny${cast === '' ? '' : `; cast: ${cast}`}`
}
