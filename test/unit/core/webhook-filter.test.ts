import { expect, it } from 'vitest'
import type { NotificationType } from '../../../lib/core/notification.ts'
import { viewOfRequest } from '../../../lib/core/view.ts'
import { compileFilter } from '../../../lib/core/webhook-filter.ts'
import { requested } from './fixture.ts'

const ALL = { events: [], tools: [], risks: [] }
const tool = { type: 'approval.requested' as NotificationType, approval: viewOfRequest(requested()) }
const http = {
  ...tool,
  approval: viewOfRequest(
    requested({
      action: {
        ...requested().action,
        kind: 'http',
        tool: null,
        method: 'POST',
        target: 'https://api.stripe.com/v1/refunds',
      },
    }),
  ),
}

it.each([
  ['everything', ALL, true, true],
  ['its event', { ...ALL, events: ['approval.requested' as const] }, true, true],
  ['another event', { ...ALL, events: ['approval.decided' as const] }, false, false],
  ['a tool', { ...ALL, tools: ['stripe.*'] }, true, false],
  ['a target', { ...ALL, tools: ['github.*', 'https://api.stripe.com/*'] }, false, true],
  ['its risk', { ...ALL, risks: ['high' as const, 'critical' as const] }, true, true],
  ['another risk', { ...ALL, risks: ['low' as const] }, false, false],
  ['a tool of another risk', { ...ALL, tools: ['*'], risks: ['low' as const] }, false, false],
])('a filter on %s', (_name, filter, fitsTool, fitsHttp) => {
  const fits = compileFilter(filter)
  expect([fits(tool), fits(http)]).toEqual([fitsTool, fitsHttp])
})
