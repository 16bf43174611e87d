import { expect, test } from 'vitest'
import type { ApprovalRequested } from '../../../lib/core/events.ts'
import type { NotificationType } from '../../../lib/core/notification.ts'
import { type NotificationFilter, notificationTest } from '../../../lib/core/notification-filter.ts'
import { viewOf } from '../../../lib/core/view.ts'
import { pending, requested } from './fixture.ts'

const OPEN: NotificationFilter = { events: [], risks: [], tools: [], rules: [] }
const HTTP = {
  action: { ...requested().action, kind: 'http', tool: null, method: 'POST', target: 'api.x.com/v1' },
} as const

test.each<[boolean, Partial<NotificationFilter>, Partial<ApprovalRequested>]>([
  [true, {}, {}],
  [true, { events: ['approval.decided', 'approval.requested'] }, {}],
  [false, { events: ['approval.decided'] }, {}],
  [true, { risks: ['high', 'critical'] }, {}],
  [false, { risks: ['critical'] }, {}],
  [true, { tools: ['github.*', 'stripe.*'] }, {}],
  [false, { tools: ['github.*'] }, {}],
  [true, { tools: ['api.x.com/*'] }, HTTP],
  [false, { tools: ['stripe.*'] }, HTTP],
  [true, { rules: ['bi*'] }, {}],
  [true, { rules: ['second'] }, { rule: { ...requested().rule, ids: ['big', 'second'] } }],
  [false, { rules: ['other'] }, {}],
  [false, { events: ['approval.requested'], tools: ['stripe.*'], risks: ['low'] }, {}],
])('%s: %j on %j', (fits, filter, more) => {
  const type: NotificationType = 'approval.requested'
  const wants = notificationTest({ ...OPEN, ...filter })
  expect(wants({ id: 'e', type, at: 0, approval: viewOf(pending(more)) })).toBe(fits)
})
