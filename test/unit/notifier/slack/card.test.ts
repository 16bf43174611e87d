import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Approval } from '../../../../lib/core/approval.ts'
import type { ApprovalRequested } from '../../../../lib/core/events.ts'
import type { NotificationType } from '../../../../lib/core/notification.ts'
import { previewOf } from '../../../../lib/core/preview.ts'
import { viewOf } from '../../../../lib/core/view.ts'
import { cardOf } from '../../../../services/notifier/slack/card.ts'
import { followUpOf, voteNote } from '../../../../services/notifier/slack/follow-up.ts'
import { detailsModal, reasonModal } from '../../../../services/notifier/slack/modals.ts'
import { ALICE, anApproval, approved, claimed, denied, settled, stepped } from '../../../support/approvals.ts'
import { activeParts, messageFaults, textsOf, viewFaults } from '../../../support/slack-blocks.ts'

const CLICKABLE = { clickable: true }
const PLACE = { channel: 'C0APPROVALS', ts: '1700000000.000100' }
const action = anApproval().action

const cardFor = (approval: Approval, options = CLICKABLE) => cardOf(viewOf(approval), options)
const words = (value: unknown): string =>
  textsOf(value)
    .map(({ text }) => text)
    .join('\n')
const buttons = (blocks: readonly object[]): string[] =>
  blocks.flatMap((block) =>
    ((block as { elements?: { action_id?: string }[] }).elements ?? []).flatMap((each) => each.action_id ?? []),
  )

describe('a card', () => {
  it('shows what is asked, why, by whom and until when, with its buttons', () => {
    const approval = anApproval({
      agent: { id: 'key_billing', name: 'billing', session: null, user: 'bob' },
      action: { ...action, preview: '{"amount":120,"to":{"iban":"DE00"}}' },
      approvers: ['group:finance', 'carol'],
      threshold: { approve: 2, deny: 1 },
      findings: [{ detector: 'secrets', severity: 'critical', message: 'a token is sent', path: 'args.to' }],
      suggestion: { by: 'checker', edits: '{"amount":1}', reason: null },
    })
    const { text, blocks } = cardFor(approval)
    expect(text).toBe('Approval needed: high risk: Refund 120.00 EUR to customer 42')
    const shown = words(blocks)
    for (const each of [
      'amount: 120',
      'to: {"iban":"DE00"}',
      'Agent: billing for bob',
      'Rule: big-refund',
      'Approvers: group:finance, carol',
      'Votes: 2 to approve, 1 to deny',
      'Why: args.amount &gt; 100',
      'critical, secrets: a token is sent (args.to)',
      'checker suggests other arguments',
      `Expires <!date^${approval.expiresAt / 1000}^{date_short_pretty} {time}|2026-01-01 00:05 UTC>`,
    ])
      expect(shown).toContain(each)
    expect(buttons(blocks)).toEqual(['countersign.approve', 'countersign.deny', 'countersign.details'])
    expect(messageFaults(blocks)).toEqual([])
  })

  it('counts the votes so far', () => {
    const two = anApproval({ threshold: { approve: 2, deny: 1 } })
    expect(words(cardFor(approved(two)).blocks)).toContain('cast: alice: approve')
  })

  it.each([
    ['approved', approved(anApproval()), 'Approved by alice (http).'],
    ['denied', denied(anApproval()), 'Denied by alice (http).'],
    ['in use', claimed(approved(anApproval())), 'Approved by alice (http).'],
    ['settled', settled(claimed(approved(anApproval()))), 'The call: executed (status 200).'],
    [
      'expired',
      stepped(anApproval(), { type: 'timeout' }, Date.parse('2026-01-01T01:00:00Z')),
      'Nobody decided in time.',
    ],
    [
      'unused',
      stepped(approved(anApproval()), { type: 'timeout' }, Date.parse('2026-01-01T01:00:00Z')),
      'not used in time',
    ],
    ['withdrawn', stepped(anApproval(), { type: 'cancel', by: ALICE, reason: null }), 'The request was withdrawn.'],
  ])('that is %s says so and has no buttons any more', (_, approval, sentence) => {
    const { blocks } = cardFor(approval)
    expect(words(blocks)).toContain(sentence)
    expect(words(blocks)).toContain('<!date^')
    expect(buttons(blocks)).toEqual([])
    expect(messageFaults(blocks)).toEqual([])
  })

  it('gives the reason in a place of its own', () => {
    const by = { type: 'decide', decision: 'deny', by: ALICE, edits: null } as const
    const { blocks } = cardFor(stepped(anApproval(), { ...by, reason: 'no <!here>\n*really*' }))
    expect(textsOf(blocks)).toContainEqual({
      ...{ type: 'plain_text', emoji: false },
      text: 'Reason given: no &lt;!here&gt;⏎*really*',
    })
  })

  it('has no buttons where no click comes in, and a link where the page has an address', () => {
    const silent = cardOf(viewOf(anApproval()), { clickable: false, pageUrl: 'https://approve.example/#/approvals/x' })
    expect(buttons(silent.blocks)).toEqual([])
    expect(words(silent.blocks)).toContain('<https://approve.example/#/approvals/x|Open page>')
    const clickable = cardOf(viewOf(anApproval()), { clickable: true, pageUrl: 'https://approve.example/' })
    expect(buttons(clickable.blocks)).toContain('countersign.page')
  })

  it('keeps within ten fields however many arguments there are', () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, 'x'.repeat(3_000)]))
    const { blocks } = cardFor(anApproval({ action: { ...action, ...previewed(many) } }))
    expect(messageFaults(blocks)).toEqual([])
    expect(words(blocks)).toContain('more: see the details')
  })

  it.each(['[1,2]', '"text"', 'null', '{}', 'not json'])('shows arguments that are %s', (preview) => {
    expect(messageFaults(cardFor(anApproval({ action: { ...action, preview } })).blocks)).toEqual([])
  })
})

const previewed = (args: unknown) => {
  const { preview, truncated } = previewOf(args as Parameters<typeof previewOf>[0])
  return { preview, previewTruncated: truncated }
}

const HOSTILE = [
  ...[
    '<!channel>',
    '<!here|x>',
    '<@U0VICTIM>',
    '<https://evil.example|Approve>',
    '<#C0APPROVALS>',
    'https://evil.example',
  ],
  ...[
    '```',
    '`',
    '*bold*',
    '&lt;!channel&gt;',
    '&',
    '\u202edesrever',
    '\u200b',
    '\u001b[2J',
    '\n',
    '\u{e0041}',

    '😀',
  ],
  ...['@channel', '#general', 'a@b.example', '<!date^1^{time}|x>', '"', '\\', '{', 'x'.repeat(400)],
]
const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 40 })
  .map((parts) => parts.join('').replace(/\p{Surrogate}/gu, ''))
const hostileJson = fc.oneof(
  hostileText.map((text) => JSON.stringify(text)),
  fc.dictionary(hostileText, hostileText, { maxKeys: 20 }).map((value) => previewed(value).preview),
  hostileText,
)
const hostileRequest: fc.Arbitrary<Partial<ApprovalRequested>> = fc
  .record({ summary: hostileText, preview: hostileJson, words: hostileText, name: hostileText })
  .map(({ summary, preview, words, name }) => ({
    agent: { id: 'key_billing', name, session: words, user: words },
    action: { ...action, tool: words, summary, preview },
    rule: { id: words, revision: 'r1', ids: [words, name], why: [words, summary] },
    findings: Array.from({ length: 12 }, () => ({
      detector: name,
      severity: 'high' as const,
      message: words,
      path: words,
    })),
    suggestion: { by: words, edits: '{}', reason: words },
  }))

/** Our own control sequences. */
const OURS = /<!date\^\d{1,11}\^\{date_short_pretty\} \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>|<@U0BOB>/g
const ENTITIES = /&(?:amp|lt|gt);/g
/** But for the two that only choose how an emoji looks. */
const HIDDEN = /(?![\ufe0e\ufe0f\n])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{DI}\u00a0]/u

/** What Slack would act on or refuse, and what people would not see. */
function hazardsOf(sent: object, faults: string[]): string[] {
  const { text = '' } = sent as { text?: string }
  const texts = [...textsOf(sent), { type: 'mrkdwn', text, verbatim: true }]
  const foreign = texts.map((each) => ({ ...each, text: each.text.replace(OURS, '') }))
  const unsafe = foreign.filter((each) => /[<>&]/.test(each.text.replace(ENTITIES, '')) || HIDDEN.test(each.text))
  return [...faults, ...activeParts(foreign), ...unsafe.map((each) => each.text)]
}

const NOTIFICATIONS: NotificationType[] = [
  'approval.decided',
  'approval.settled',
  'approval.expiring',
  'approval.escalated',
]

it('whatever agents and people write, cards, modals and threads are inert and within the limits', () => {
  fc.assert(
    fc.property(hostileRequest, hostileText, (overrides, reason) => {
      const approval = anApproval({ ...overrides, threshold: { approve: 2, deny: 1 } })
      const voted = stepped(approval, { type: 'decide', decision: 'approve', by: ALICE, reason, edits: null })
      const ended = stepped(approval, { type: 'decide', decision: 'deny', by: ALICE, reason, edits: null })
      const messages = [approval, voted, ended].flatMap((each) => {
        const view = viewOf(each)
        const followUps = NOTIFICATIONS.flatMap((type) =>
          [undefined, 'U0BOB'].flatMap((user) => followUpOf({ id: 'e', type, at: 0, approval: view }, user) ?? []),
        )
        return [cardFor(each), ...followUps, ...(each === voted ? [voteNote(view)] : [])]
      })
      const modals = [voted, ended].flatMap((each) => [
        detailsModal(viewOf(each)),
        reasonModal(viewOf(each), 'deny', PLACE),
      ])
      expect([
        ...messages.flatMap((message) =>
          message ? hazardsOf(message, messageFaults(message.blocks)) : ['no message'],
        ),
        ...modals.flatMap((modal) => hazardsOf(modal, viewFaults(modal))),
      ]).toEqual([])
    }),
    { numRuns: 100 },
  )
}, 30_000)

describe('the details', () => {
  it('show the whole preview as code that nothing in it can end', () => {
    const args = {
      command: 'echo ``` <!channel> & `id`',
      list: Array.from({ length: 300 }, (_, index) => `item ${index}`),
    }
    const modal = detailsModal(viewOf(anApproval({ action: { ...action, ...previewed(args) } })))
    expect(viewFaults(modal)).toEqual([])
    const code = textsOf(modal).filter(({ type }) => type === 'mrkdwn')
    expect(code.length).toBeGreaterThan(1)
    for (const { text } of code) expect(text.match(/`/g)).toHaveLength(6)
    expect(code[0]?.text).toContain('"command": "echo \\u0060\\u0060\\u0060 &lt;!channel&gt; &amp; \\u0060id\\u0060"')
    expect(words(code)).toContain('item 199')
  })

  it('stop at a bound and say so', () => {
    const preview = JSON.stringify('y'.repeat(200_000))
    const modal = detailsModal(viewOf(anApproval({ action: { ...action, preview } })))
    expect(viewFaults(modal)).toEqual([])
    expect(words(modal)).toContain('too long to be shown whole')
  })
})

describe('the modal for a reason', () => {
  it('demands what the rule demands, and knows its card', () => {
    const approval = viewOf(anApproval({ reasonRequired: ['deny'] }))
    const modal = reasonModal(approval, 'deny', PLACE) as {
      private_metadata?: string
      blocks?: { optional?: boolean }[]
    }
    expect(JSON.parse(modal.private_metadata ?? '')).toEqual({ id: approval.id, decision: 'deny', ...PLACE })
    expect(modal.blocks?.at(-1)?.optional).toBe(false)
    const free = reasonModal(approval, 'approve', PLACE) as { blocks?: { optional?: boolean }[] }
    expect(free.blocks?.at(-1)?.optional).toBe(true)
  })
})

describe('a thread', () => {
  const follow = (type: NotificationType, approval: Approval, requester?: string) =>
    followUpOf({ id: 'e', type, at: 0, approval: viewOf(approval) }, requester)

  it('names the one who asked, by a mention where Slack knows them', () => {
    const asked = anApproval({ agent: { id: 'key_billing', name: 'billing', session: null, user: 'bob' } })
    expect(follow('approval.decided', approved(asked))?.text).toBe('For bob: Approved by alice (http).')
    expect(follow('approval.decided', approved(asked), 'U0BOB')?.text).toBe('<@U0BOB> Approved by alice (http).')
  })

  it('tells outcomes, warnings and steps of the escalation, and nothing of the request itself', () => {
    expect(follow('approval.requested', anApproval())).toBeUndefined()
    expect(follow('approval.settled', settled(claimed(approved(anApproval()))))?.text).toContain('executed')
    expect(follow('approval.settled', approved(anApproval()))?.text).toContain('can be used again')
    expect(follow('approval.expiring', anApproval())?.text).toBe('It is not decided yet.')
    expect(follow('approval.escalated', anApproval({ approvers: ['carol'] }))?.text).toBe(
      'Escalated: carol may decide now.',
    )
  })
})
