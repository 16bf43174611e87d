import { describe, expect, it } from 'vitest'
import type { Approval } from '../../../lib/core/approval.ts'
import { appendHistory } from '../../../lib/core/history.ts'
import { createApproval } from '../../../lib/core/transition.ts'
import { approved, claimed, requestedEvent, settled } from '../../support/approvals.ts'
import { type Evidence, faultsOf } from '../../support/history.ts'

const request = requestedEvent()
const record = settled(claimed(approved(createApproval(request.data, request.at))))
const { id } = record

/** An approval that was used once and reported. */
const sound: Evidence = {
  records: [record],
  events: [request, ...record.outbox],
  answers: [{ status: 200, headers: new Headers(), body: { effect: 'allow', approvalId: id, use: 1 } }],
  reports: [{ id, use: 1, outcome: 'executed' }],
}
const [answer] = sound.answers

/** The same record with one entry more, its chain intact. */
function continued(before: Approval, type: 'claimed' | 'cancelled'): Approval {
  const by = { id: 'key', name: 'key', type: 'agent', via: 'http' } as const
  const event =
    type === 'claimed'
      ? ({ type, holder: 'gate:1:2', gate: 'gate', key: null, use: 1 } as const)
      : ({ type, reason: null } as const)
  return { ...before, history: appendHistory(before.history, event, by, before.updatedAt) }
}

it('finds nothing in a sound history, nor in events that came twice and answers that were told again', () => {
  expect(faultsOf(sound)).toEqual([])
  const again = { ...answer!, body: { ...answer!.body, replayed: true } }
  expect(faultsOf({ ...sound, events: [...sound.events, ...sound.events], answers: [answer!, again] })).toEqual([])
})

describe('finds', () => {
  const inUse = claimed(approved(createApproval(request.data, request.at)))

  it.each<[string, Partial<Evidence>, string]>([
    ['a changed record', { records: [{ ...record, reason: 'other' }] }, 'reason is not what the history says'],
    ['a request without an outcome', { records: [createApproval(request.data, request.at)] }, 'its outcomes are []'],
    ['a second outcome', { records: [continued(record, 'cancelled')] }, 'its outcomes are [approved, cancelled]'],
    ['a use that was won twice', { records: [continued(inUse, 'claimed')] }, 'use 1 was claimed out of turn'],
    ['an outcome that nobody was told', { events: [request] }, '0 events tell that it was approved'],
    [
      'an outcome that was told as two',
      { events: [...sound.events, ...record.outbox.map((event) => ({ ...event, eventId: `${event.eventId}+` }))] },
      '2 events tell that it was settled',
    ],
    ['a request that was never published', { events: record.outbox }, 'the request on record was never published'],
    [
      'an event of what is not on record',
      { events: [...sound.events, requestedEvent()] },
      'tells of what is not on record',
    ],
    ['an answer of what is not on record', { records: [] }, 'an agent was told of what is not on record'],
    ['a call that went ahead twice', { answers: [answer!, answer!] }, 'use 1 went ahead twice'],
    [
      'a call that went ahead unclaimed',
      { answers: [{ ...answer!, body: { ...answer!.body, use: 2 } }] },
      'use 2 went ahead without a claim',
    ],
    [
      'a report that was lost',
      { reports: [{ id, use: 1, outcome: 'failed' }] },
      'that use 1 was failed is not on record',
    ],
    [
      'an event that says something else',
      {
        events: [
          request,
          ...record.outbox.map((event) =>
            event.topic === 'approval.decided'
              ? { ...event, data: { ...event.data, outcome: 'denied' as const } }
              : event,
          ),
        ],
      },
      'approval.decided says denied, the history approved',
    ],
  ])('%s', (_, evidence, fault) => {
    expect(faultsOf({ ...sound, ...evidence }).join('\n')).toContain(fault)
  })
})
