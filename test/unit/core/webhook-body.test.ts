import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Notification } from '../../../lib/core/notification.ts'
import { type ApprovalView, viewOfRequest } from '../../../lib/core/view.ts'
import { webhookBody } from '../../../lib/core/webhook-body.ts'
import { REQUESTED_AT, requested } from './fixture.ts'

const notificationOf = (more: Partial<ApprovalView> = {}): Notification => ({
  id: 'apr_01jd0000000000000000000000:1',
  type: 'approval.requested',
  at: REQUESTED_AT,
  approval: { ...viewOfRequest(requested()), ...more },
})

const bodyOf = (notification: Notification) => JSON.parse(webhookBody(notification))
const withPreview = (preview: string) => {
  const { approval } = notificationOf()
  return notificationOf({ action: { ...approval.action, preview } })
}

describe('the body of a webhook', () => {
  it('is type, time and the record', () => {
    const notification = notificationOf()
    expect(bodyOf(notification)).toEqual({
      type: 'approval.requested',
      timestamp: '2026-01-01T00:00:00.000Z',
      data: notification.approval,
    })
  })

  it('says which step of an escalation it tells of, and not whom else it tells', () => {
    const escalation = { step: 2, channels: ['pager'] }
    expect(bodyOf({ ...notificationOf(), type: 'approval.escalated', escalation })).toMatchObject({
      type: 'approval.escalated',
      escalation: { step: 2 },
    })
    expect(webhookBody({ ...notificationOf(), escalation })).not.toContain('pager')
  })

  it('cuts a preview that would not fit, which stays JSON text, and says so', () => {
    const { data, truncated } = bodyOf(withPreview(JSON.stringify({ text: '"'.repeat(9_000) })))
    expect(truncated).toBe(true)
    expect(data.action.previewTruncated).toBe(true)
    expect(typeof JSON.parse(data.action.preview)).toBe('string')
    expect(data).toMatchObject({ id: notificationOf().approval.id, requestedAt: '2026-01-01T00:00:00.000Z' })
  })

  const text = fc.oneof(
    fc.string({ maxLength: 100, unit: 'binary' }),
    fc
      .constantFrom('\u202e', '\0', '"', '\\', '👩‍🚒', '\ud83d')
      .chain((unit) => fc.integer({ min: 0, max: 9_000 }).map((count) => unit.repeat(count))),
  )
  const actor = fc.record({
    id: fc.string({ maxLength: 64 }),
    name: text,
    type: fc.constant('user' as const),
    via: fc.constant('http' as const),
  })
  const views: fc.Arbitrary<Partial<ApprovalView>> = fc.record({
    tenant: text,
    approvers: fc.array(text, { maxLength: 20 }),
    findings: fc.array(
      fc.record({ detector: text, severity: fc.constant('high' as const), message: text, path: text }),
      { maxLength: 20 },
    ),
    suggestion: fc.record({ by: text, edits: fc.dictionary(text, text, { maxKeys: 5 }), reason: text }),
    votes: fc.array(
      fc.record({
        by: actor,
        decision: fc.constant('approve' as const),
        reason: text,
        at: fc.constant('2026-01-01T00:00:00.000Z'),
      }),
      { maxLength: 30 },
    ),
    requirements: fc.array(fc.record({ rule: text, anyOf: fc.array(text, { maxLength: 20 }), approve: fc.nat() }), {
      maxLength: 20,
    }),
    decidedBy: fc.array(actor, { maxLength: 30 }),
    reason: text,
    action: fc.record({
      kind: fc.constant('tool'),
      tool: text,
      target: text,
      summary: text,
      preview: text.map((each) => JSON.stringify(each)),
      previewTruncated: fc.boolean(),
      fingerprint: fc.constant('f'.repeat(64)),
    }),
  })

  it('is JSON below 20,000 bytes whatever the record holds, and keeps what a receiver needs', () => {
    fc.assert(
      fc.property(views, (view) => {
        const notification = notificationOf(view)
        const body = webhookBody(notification)
        expect(Buffer.byteLength(body)).toBeLessThanOrEqual(18_000)
        const { data, truncated } = JSON.parse(body)
        const { id, status, requestedAt, expiresAt, version } = notification.approval
        expect(data).toMatchObject({ id, status, requestedAt, expiresAt, version })
        expect(typeof JSON.parse(data.action.preview)).toBe('string')
        if (truncated === undefined) expect(data).toEqual(JSON.parse(JSON.stringify(notification.approval)))
      }),
      { numRuns: 60 },
    )
  })
})
