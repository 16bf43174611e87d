import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import type { Approval } from '../../../lib/core/approval.ts'
import type { Notification, NotificationType } from '../../../lib/core/notification.ts'
import { cardUrl, notificationText, plainLines } from '../../../lib/core/notification-text.ts'
import { viewOf } from '../../../lib/core/view.ts'
import { BY_AGENT, claim, decide, pending, person, REQUESTED_AT, recordAfter, requested, settle } from './fixture.ts'

const SWEEPER = { id: 'sweeper', name: 'sweeper', type: 'system', via: 'sweeper' } as const

const of = (type: NotificationType, record: Approval = pending()): Notification => ({
  id: `${record.id}:${record.version}`,
  type,
  at: record.updatedAt,
  approval: viewOf(record),
})

const approved = () => recordAfter(pending(), decide(person('alice'), 'approve', { reason: 'fine' }))
const claimed = () => recordAfter(approved(), claim())

it('asks, with what a person needs to decide', () => {
  const record = pending({
    approvers: ['group:finance'],
    requirements: [{ rule: 'big', anyOf: ['group:finance'], approve: 2 }],
    threshold: { approve: 2, deny: 1 },
    findings: [{ detector: 'secrets', severity: 'critical', message: 'a key', path: 'args.key' }],
    suggestion: { by: 'judge', edits: '{"amount":5}', reason: 'too much' },
  })
  const text = notificationText(of('approval.requested', record))
  expect(text).toMatchObject({ mood: 'asking', risk: 'high', title: 'Approval needed (high)', argumentsCut: false })
  expect(text.subject).toBe('stripe.refund  amount=5000')
  expect(plainLines(text).map((line) => line.replaceAll('\u2060', ''))).toEqual([
    'stripe.refund  amount=5000',
    '',
    'Agent: billing (says: session s1, user erin@example.com)',
    'Action: tool stripe.refund',
    'Risk: high',
    'Rule: big',
    'Expires: 2026-01-01 00:01:00 UTC',
    'Approval: apr_01jd0000000000000000000000',
    'Approvers: 2 of group:finance',
    'Votes: 2 to approve, 1 to deny',
    'Why: args.amount is over 50',
    'Finding: critical: a key (args.key)',
    'Suggested: by judge: {"amount":5}',
    'Suggested: too much',
    '',
    'Arguments (secrets masked):',
    '{',
    '  "amount": 5000',
    '}',
  ])
})

test.each<[string, NotificationType, () => Approval, { mood: string; title: string }]>([
  ['a reminder', 'approval.expiring', pending, { mood: 'asking', title: 'Time runs out: approval needed (high)' }],
  ['an escalation', 'approval.escalated', pending, { mood: 'asking', title: 'Escalated: approval needed (high)' }],
  ['an approval', 'approval.decided', approved, { mood: 'allowed', title: 'Approved by alice' }],
  [
    'an approval with changes',
    'approval.decided',
    () => recordAfter(pending(), decide(person('alice'), 'approve', { edits: '{"amount":5}' })),
    { mood: 'allowed', title: 'Approved with changes by alice' },
  ],
  [
    'a denial',
    'approval.decided',
    () => recordAfter(pending(), decide(person('bob'), 'deny')),
    { mood: 'refused', title: 'Denied by bob' },
  ],
  [
    'a withdrawal',
    'approval.decided',
    () => recordAfter(pending(), { type: 'cancel', by: BY_AGENT, reason: null }),
    { mood: 'ended', title: 'Cancelled: the call waits no more' },
  ],
  [
    'an execution',
    'approval.settled',
    () => recordAfter(claimed(), settle('executed')),
    { mood: 'allowed', title: 'Executed' },
  ],
  [
    'a failure',
    'approval.settled',
    () => recordAfter(claimed(), settle('failed')),
    { mood: 'refused', title: 'Failed' },
  ],
  [
    'a claim that nobody settled',
    'approval.settled',
    () => recordAfter(claimed(), settle('unknown')),
    { mood: 'ended', title: 'Nobody reported an outcome: it may have been executed' },
  ],
  [
    'a use that was given back',
    'approval.settled',
    () => recordAfter(claimed(), settle('not_executed')),
    { mood: 'allowed', title: 'Not executed: the approval can be used again' },
  ],
])('tells of %s', (_, type, record, expected) => {
  expect(notificationText(of(type, record()))).toMatchObject(expected)
})

it('tells an expiry that nobody decided from an approval that ran out', () => {
  const view = viewOf(pending())
  const title = (decidedBy: (typeof view)['decidedBy']) =>
    notificationText({
      id: 'e',
      type: 'approval.decided',
      at: REQUESTED_AT,
      approval: { ...view, status: 'expired', decidedBy },
    }).title
  expect(title([])).toBe('Expired: nobody decided')
  expect(title([SWEEPER])).toBe('Expired: approved, but not used')
})

it('tells the reason and what came of the call, and shows the arguments no more', () => {
  const text = notificationText(of('approval.settled', recordAfter(claimed(), settle('failed'))))
  expect(text.argumentLines).toEqual([])
  expect(plainLines(text)).toEqual([
    'stripe.\u2060refund  amount=5000',
    '',
    'Agent: billing (says: session s1, user erin@\u2060example.\u2060com)',
    'Action: tool stripe.\u2060refund',
    'Decided: 2026-01-01 00:00:00 UTC',
    'Reason: fine',
    'Result: status 200: done',
    'Approval: apr_01jd0000000000000000000000',
  ])
})

it('names the tenant where it is not the usual one', () => {
  const { facts } = notificationText(of('approval.requested', pending({ tenant: 'acme' })))
  expect(facts).toContainEqual({ name: 'Tenant', value: 'acme' })
})

describe('limits', () => {
  const long = (preview: string) => pending({ action: { ...requested().action, preview } })

  it('cuts arguments to bytes and lines, and says so', () => {
    const record = long(JSON.stringify({ a: 'é'.repeat(5_000), b: 1 }))
    const text = notificationText(of('approval.requested', record), { maxArgumentBytes: 1_000 })
    expect(Buffer.byteLength(text.argumentLines.join('\n'))).toBeLessThanOrEqual(1_000)
    expect(text.argumentsCut).toBe(true)
    expect(text.argumentLines.at(-1)).toMatch(/é…$/)
    const few = notificationText(of('approval.requested', long('[1,2,3,4,5]')), { maxArgumentLines: 3 })
    expect(few).toMatchObject({ argumentLines: ['[', '  1,', '  2,'], argumentsCut: true })
    expect(plainLines(few)).toContain('Arguments (secrets masked, shortened):')
  })

  it('says so when the record itself holds less than the call', () => {
    const record = pending({ action: { ...requested().action, previewTruncated: true } })
    expect(notificationText(of('approval.requested', record)).argumentsCut).toBe(true)
  })

  it('counts what it leaves out of a long list', () => {
    const why = [...Array(8).keys()].map((each) => `reason ${each}`)
    const { facts } = notificationText(of('approval.requested', pending({ rule: { ...requested().rule, why } })))
    expect(facts.filter(({ name }) => name === 'Why').map(({ value }) => value)).toEqual([
      ...why.slice(0, 5),
      '… 3 more',
    ])
  })

  it('keeps the whole within bytes', () => {
    const text = notificationText(of('approval.requested', long(JSON.stringify('x'.repeat(8_000)))))
    for (const bytes of [10, 100, 1_000, 3_800])
      expect(Buffer.byteLength(plainLines(text, bytes).join('\n'))).toBeLessThanOrEqual(bytes)
  })
})

/** What moves a cursor, changes colours, reverses text or hides; the word joiner is ours. */
const DANGEROUS = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2061-\u206f\ufeff\u{e0000}-\u{e007f}]/u
/** What programs make links and mentions of. */
const LINKED = /:\/\/|@[^\s\u2060]|[a-z0-9]\.[a-z]/i

const untrusted = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.constantFrom(
    '<!channel> <@U123> @everyone @here',
    'https://evil.example.com/?a=b',
    'www.evil.com',
    '<a href="https://evil.com">click</a><script>alert(1)</script>',
    '\u001b[31mred\u001b]0;title\u0007',
    'safe\u202egnp.exe',
    'mail eve@evil.com\r\nBcc: all@example.com',
    '```\n@everyone',
  ),
)

it('is inert whatever agents and people write', () => {
  fc.assert(
    fc.property(
      fc.array(untrusted, { minLength: 8, maxLength: 8 }),
      fc.constantFrom<NotificationType>('approval.requested', 'approval.decided', 'approval.settled'),
      (words, type) => {
        const [summary, name, session, reason, detail, why, finding, argument] = words as [string, ...string[]]
        const view = viewOf(pending())
        const text = notificationText({
          id: 'e',
          type,
          at: REQUESTED_AT,
          approval: {
            ...view,
            status: 'denied',
            agent: { id: 'key', name: name ?? '', session: session ?? '' },
            action: { ...view.action, summary, preview: argument ?? '' },
            rule: { ...view.rule, why: [why ?? ''] },
            findings: [{ detector: 'd', severity: 'high', message: finding ?? '' }],
            decidedBy: [{ id: 'k', name: name ?? '', type: 'user', via: 'http' }],
            decidedAt: view.requestedAt,
            reason: reason ?? '',
            settlement: { outcome: 'failed', detail: detail ?? '', settledAt: view.requestedAt },
          },
        })
        const lines = [text.title, ...plainLines(text)]
        for (const line of lines) {
          expect(line).not.toMatch(DANGEROUS)
          expect(line).not.toMatch(LINKED)
        }
        expect(text.subject).not.toMatch(DANGEROUS)
        expect(text.subject.length).toBeLessThanOrEqual(100)
        for (const { value } of text.facts) expect(value.replaceAll('\u2060', '').length).toBeLessThanOrEqual(300)
      },
    ),
  )
})

test('a card is addressed behind the hash, whatever the address ends with', () => {
  expect(cardUrl('https://x.example/', 'apr_1')).toBe('https://x.example/#/approvals/apr_1')
  expect(cardUrl('https://x.example/sub', 'a"<')).toBe('https://x.example/sub/#/approvals/a%22%3C')
})
