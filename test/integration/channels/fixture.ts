import type { Approval } from '../../../lib/core/approval.ts'
import type { ApprovalRequested } from '../../../lib/core/events.ts'
import type { Notification, NotificationType } from '../../../lib/core/notification.ts'
import { cardUrl } from '../../../lib/core/notification-text.ts'
import { viewOf } from '../../../lib/core/view.ts'
import type { AttemptContext } from '../../../lib/ports/channel.ts'
import { anApproval, requestedEvent } from '../../support/approvals.ts'

export const PUBLIC_URL = 'https://countersign.example.com'

/** What every channel is given beside its settings. */
export const CHANNEL_DEPS = {
  tenant: 'default',
  wants: () => true,
  linkTo: (id: string) => cardUrl(PUBLIC_URL, id),
}

export const notificationOf = (type: NotificationType, record: Approval = anApproval()): Notification => ({
  id: `${record.id}:${record.version}`,
  type,
  at: record.updatedAt,
  approval: viewOf(record),
})

export const attempt = (more: Partial<AttemptContext> = {}): AttemptContext => ({
  attempt: 1,
  receipt: null,
  signal: new AbortController().signal,
  ...more,
})

/** A record that has something nasty wherever an agent or a person may write. */
export function nastyRecord(): Approval {
  const { action, agent } = requestedEvent().data
  const more: Partial<ApprovalRequested> = {
    agent: { ...agent, session: NASTY, user: 'eve@evil.com' },
    action: { ...action, summary: NASTY, preview: JSON.stringify({ text: NASTY, '```\n@everyone': 1 }) },
    rule: { id: 'big', revision: 'r1', ids: ['big'], why: [`args.text is ${NASTY}`] },
    findings: [{ detector: 'd', severity: 'high', message: NASTY, path: NASTY }],
    suggestion: { by: 'judge', edits: '{"text":"@here"}', reason: NASTY },
  }
  return anApproval(more)
}

const NASTY =
  '<!channel> @everyone <@1> https://evil.example.com **b** ```x``` <b>h</b> \u001b[31mred \u202egnp.exe\r\nBcc: eve@evil.com'
