import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  announcement,
  apply,
  applySnapshot,
  cards,
  dismiss,
  forgetAll,
  recent,
  waiting,
} from '../../../clients/dashboard/approvals.ts'
import type { ApprovalView } from '../../../clients/sdk/types.ts'
import { createApproval, transition } from '../../../lib/core/transition.ts'
import { viewOf } from '../../../lib/core/view.ts'
import { ALICE, REQUESTED_AT, requestedEvent } from '../../support/approvals.ts'

/** A record in each state of its life: asked, voted on, approved. */
function life(): ApprovalView[] {
  const { data } = requestedEvent({ threshold: { approve: 2, deny: 1 } })
  const states = [createApproval(data, REQUESTED_AT)]
  for (const name of ['alice', 'bob']) {
    const by = { ...ALICE, id: `key_${name}`, name }
    const next = transition(
      states.at(-1)!,
      { type: 'decide', decision: 'approve', by, reason: null, edits: null },
      REQUESTED_AT + 1,
    )
    if (next.kind === 'applied') states.push(next.approval)
  }
  return states.map((state) => viewOf(state) as ApprovalView)
}

describe('the records of the page', () => {
  beforeEach(() => forgetAll())

  test('whatever the order, and however often, the newest version stands', () => {
    const states = life()
    expect(states.map(({ status }) => status)).toEqual(['pending', 'pending', 'approved'])
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...states), { minLength: 1 }), (seen) => {
        forgetAll()
        for (const state of seen) apply(state)
        const newest = Math.max(...seen.map(({ version }) => version))
        const shown = cards.value.map(({ approval }) => approval.value).concat(recent.value)
        expect(shown.map(({ version }) => version)).toEqual([newest])
      }),
    )
  })

  test('whoever hears the page is told once that time runs out, and once of each step', () => {
    const [asked] = life() as [ApprovalView]
    const { summary } = asked.action
    const heard = (approval: ApprovalView) => {
      announcement.value = ''
      apply(approval)
      return announcement.value
    }
    const warned = { ...asked, version: 2, warnedAt: asked.requestedAt }
    const step = { at: asked.requestedAt, approvers: ['group:managers'], channels: [] }
    const escalated = { ...warned, version: 3, escalated: [step] }
    applySnapshot([asked], true)
    expect(heard(warned)).toBe(`Time runs out: ${summary}`)
    expect(heard(escalated)).toBe(`Escalated: ${summary}`)
    expect(heard({ ...escalated, version: 4 })).toBe('')
    expect(heard({ ...escalated, version: 5, status: 'denied' })).toBe(`${summary}: denied`)
  })

  test('a dismissed card does not come back with a late event', () => {
    const [asked, , approved] = life() as [ApprovalView, ApprovalView, ApprovalView]
    apply(asked)
    apply(approved)
    dismiss(cards.value[0]!)
    apply(asked)
    applySnapshot([asked], false)
    expect(cards.value).toEqual([])
    expect(recent.value).toEqual([approved])
  })

  test('cards keep their places: new ones come last, and settled ones stay until they leave', () => {
    const [first, second, third] = [life(), life(), life()] as [ApprovalView[], ApprovalView[], ApprovalView[]]
    const ids = () => cards.value.map(({ id }) => id)
    applySnapshot([second[0]!, first[0]!], true)
    apply(third[0]!)
    const before = ids()
    expect(before.at(-1)).toBe(third[0]!.id)
    apply(first[2]!)
    applySnapshot([third[0]!, second[0]!], false)
    expect(ids()).toEqual(before)
    expect(waiting.value).toBe(2)
  })

  test('after a reset an older version counts again, and what was typed is kept', () => {
    const [asked, voted] = life() as [ApprovalView, ApprovalView]
    apply(voted)
    cards.value[0]!.reason.value = 'half a reason'
    applySnapshot([asked], true)
    expect(cards.value[0]!.approval.value).toEqual(asked)
    expect(cards.value[0]!.reason.value).toBe('half a reason')
  })
})
