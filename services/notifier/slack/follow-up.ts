import type { Notification } from '../../../lib/core/notification.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'
import type { SlackMessage } from '../../../lib/ports/slack.ts'
import { dateToken, inert, marked, plain } from './text.ts'
import { decisionOf, settlementOf } from './wording.ts'

const LINE = 600

/**
 * What the card's thread is told of something that happened; undefined of what the card alone tells. `requester` is the
 * Slack user id of the one for whom the agent asked.
 */
export function followUpOf(notification: Notification, requester: string | undefined): SlackMessage | undefined {
  const { type, approval } = notification
  const { agent, expiresAt } = approval
  switch (type) {
    case 'approval.requested':
      return undefined
    case 'approval.decided':
      return message(decisionOf(approval) ?? '', {
        mention: requester,
        address: requester === undefined ? agent.user : undefined,
        reason: approval.reason,
        at: approval.decidedAt,
      })
    case 'approval.settled':
      return message(settlementOf(approval) ?? 'The call was not executed. The approval can be used again.', {
        at: approval.settlement?.settledAt,
      })
    case 'approval.expiring':
      return message('It is not decided yet.', { at: expiresAt, label: 'Expires' })
    case 'approval.escalated':
      return message(`Escalated: ${votersNow(approval)} may decide now.`, { at: expiresAt, label: 'Expires' })
  }
}

/** A vote that settled nothing yet, for the thread. */
export const voteNote = ({ votes, threshold }: ApprovalView): SlackMessage | undefined => {
  const vote = votes.at(-1)
  if (!vote) return undefined
  const same = votes.filter(({ decision }) => decision === vote.decision).length
  return message(`${vote.by.name} voted to ${vote.decision} (${same} of ${threshold[vote.decision]}).`, {
    reason: vote.reason,
    at: vote.at,
  })
}

const votersNow = ({ approvers }: ApprovalView): string =>
  approvers.length === 0 ? 'everybody who approves' : approvers.join(', ')

function message(
  sentence: string,
  more: {
    mention?: string | undefined
    address?: string | undefined
    reason?: string | undefined
    at?: string | undefined
    label?: string
  },
): SlackMessage {
  const { mention, address, reason, at, label } = more
  const words = inert(address === undefined ? sentence : `For ${address}: ${sentence}`, LINE)
  return {
    text: mention === undefined ? words : `<@${mention}> ${words}`,
    blocks: [
      ...(mention === undefined ? [] : [{ type: 'section', text: marked(`<@${mention}>`) }]),
      { type: 'section', text: plain(words) },
      ...(reason === undefined ? [] : [{ type: 'context', elements: [plain(`Reason given: ${inert(reason, 2000)}`)] }]),
      ...(at === undefined
        ? []
        : [{ type: 'context', elements: [marked(`${label === undefined ? '' : `${label} `}${dateToken(at)}`)] }]),
    ],
  }
}
