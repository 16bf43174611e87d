import { expect, it } from 'vitest'
import { type ApprovalView, viewOf } from '../../../../lib/core/view.ts'
import { askingPage, standingPage } from '../../../../services/notifier/callbacks/page.ts'
import { pending } from '../../core/fixture.ts'

const view = (more: Partial<ApprovalView> = {}): ApprovalView => ({ ...viewOf(pending()), ...more })

it('shows why a person is asked, what was found, and that something was left out', () => {
  const { action, rule } = view()
  const html = askingPage(
    'approve',
    view({
      action: { ...action, previewTruncated: true },
      rule: { ...rule, why: ['args.amount is over 50', 'it is <late>'] },
      findings: [
        { detector: 'secrets', severity: 'high', message: 'looks like a key', path: 'args.env' },
        { detector: 'evaluator/judge', severity: 'low', message: '<b>fine</b>' },
      ],
    }),
    'alice',
  )
  expect(html).toContain('<li>args.amount is over 50</li>')
  expect(html).toContain('<li>it is &lt;late&gt;</li>')
  expect(html).toContain('<li>high: looks like a key (secrets, args.env)</li>')
  expect(html).toContain('<li>low: &lt;b&gt;fine&lt;/b&gt; (evaluator/judge)</li>')
  expect(html).toContain('too long to be shown whole')
})

it('says nothing of what there is not', () => {
  const { rule } = view()
  const html = askingPage('deny', view({ rule: { ...rule, why: [] } }), 'alice')
  expect(html).not.toMatch(/<ul>|Why|noticed|too long/)
})

it.each(['\u202e', '\u{e0041}', '\u2800', '\u200b', '\u0007', '\ue000', '\u115f', '\ufff9', '\ud800'])(
  'leaves a visible mark for %j, wherever it stands',
  (character) => {
    const text = `a${character}b`
    const { action, agent, rule } = view()
    const shown = view({
      action: { ...action, summary: text, preview: text },
      agent: { ...agent, name: text },
      rule: { ...rule, id: text, why: [text] },
      findings: [{ detector: text, severity: 'low', message: text, path: text }],
    })
    for (const html of [
      askingPage('approve', shown, text),
      standingPage({
        ...shown,
        ...{ status: 'denied', reason: text, decidedBy: [{ id: '1', name: text, type: 'user', via: 'link' }] },
      }),
    ])
      expect(html).not.toContain(character)
  },
)

it('is bounded, whatever is in the record', () => {
  const long = '<'.repeat(100_000)
  const { action, agent, rule } = view()
  const html = standingPage(
    view({
      status: 'denied',
      reason: long,
      action: { ...action, summary: long, preview: long },
      agent: { ...agent, name: long },
      rule: { ...rule, id: long, why: Array(1_000).fill(long) },
      findings: Array(1_000).fill({ detector: long, severity: 'low', message: long, path: long }),
      decidedBy: Array(1_000).fill({ id: '1', name: long, type: 'user', via: 'http' }),
    }),
  )
  expect(html.length).toBeLessThan(500_000)
  expect(html).toContain('and 980 more')
})
