import { expect, onTestFinished, test } from 'vitest'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { DomainEvent } from '../../../lib/core/events.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { SettleReport } from '../../../lib/ports/decider.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { Outcomes } from '../../../services/gate/outcomes.ts'
import { anApproval, approved, claimed, settled } from '../../support/approvals.ts'

/** Timers that run a hundred times faster. */
const hasty: Clock = {
  now: () => systemClock.now() * 100,
  after: (ms, callback) => systemClock.after(ms / 100, callback),
}

/** An approval in use, and outcomes whose ways out can be closed. */
function start({ maxUntold = 10 } = {}) {
  const inUse = claimed(approved(anApproval()))
  const away = { decider: true, bus: false }
  const told: SettleReport[] = []
  const published: DomainEvent[] = []
  const lines: string[] = []
  const log = createLogger('error', { write: (line: string) => lines.push(line) })
  const outcomes = new Outcomes({
    decider: {
      settle: async (report) => {
        if (away.decider) throw new CountersignError('decider_unavailable')
        told.push(report)
        return settled(inUse)
      },
    },
    bus: {
      publish: async (events) => {
        if (away.bus) throw new CountersignError('bus_unavailable')
        published.push(...events)
      },
    },
    clock: hasty,
    log,
    maxUntold,
  })
  onTestFinished(() => outcomes.stop())
  outcomes.handedOut(inUse)
  const report: SettleReport = {
    ...{ tenant: 'default', id: inUse.id, agentId: inUse.agent.id, use: null },
    ...{ outcome: 'executed', status: null, detail: null, gate: 'gate' },
  }
  return { inUse, away, told, published, lines, outcomes, report }
}

test('the decider is told of the use that was let go, and the topic of nothing', async () => {
  const { away, told, published, outcomes, report } = start()
  away.decider = false
  expect(await outcomes.report(report)).toMatchObject({ approval: { status: 'settled' } })
  expect([told, published]).toEqual([[{ ...report, use: 1 }], []])
})

test('while the decider stays away the topic carries the report, without a version, under one id however often', async () => {
  const { inUse, published, outcomes, report } = start()
  for (let times = 0; times < 2; times++)
    expect(await outcomes.report(report)).toMatchObject({ reported: { use: 1, outcome: 'executed' } })
  expect(published).toHaveLength(2)
  expect(new Set(published.map(({ eventId }) => eventId)).size).toBe(1)
  expect(published[0]).toMatchObject({
    topic: 'approval.settled',
    data: { id: inUse.id, use: 1, outcome: 'executed', version: null, historyHash: null },
  })
})

test('a decider that is back in time is told, and the topic is not', async () => {
  const { away, told, published, outcomes, report } = start()
  hasty.after(500, () => {
    away.decider = false
  })
  expect(await outcomes.report(report)).toHaveProperty('approval')
  expect([told.length, published.length]).toEqual([1, 0])
})

test.each([
  ['another agent', { agentId: 'key_other' }],
  ['another use', { use: 2 }],
  ['an approval that this gate let nobody use', { id: `apr_${'0'.repeat(26)}` }],
])('a report of %s is never put on the topic', async (_, other) => {
  const { published, outcomes, report } = start()
  await expect(outcomes.report({ ...report, ...other })).rejects.toMatchObject({ code: 'decider_unavailable' })
  expect(published).toEqual([])
})

test('with decider and bus away a report is refused, and nothing is claimed to be told', async () => {
  const { away, outcomes, report } = start()
  away.bus = true
  await expect(outcomes.report(report)).rejects.toMatchObject({ code: 'bus_unavailable' })
})

test('what nobody waits for is tried until somebody hears it', async () => {
  const { away, published, outcomes, report } = start()
  away.bus = true
  outcomes.tell({ ...report, outcome: 'not_executed' })
  hasty.after(5_000, () => {
    away.bus = false
  })
  await expect.poll(() => published.length).toBe(1)
  expect(published[0]?.data).toMatchObject({ outcome: 'not_executed', use: 1 })
})

test('what cannot be told at the end, or has no room to wait, leaves one line that says all of it', async () => {
  const { inUse, away, lines, outcomes, report } = start({ maxUntold: 1 })
  away.bus = true
  outcomes.tell(report)
  outcomes.tell({ ...report, outcome: 'failed' })
  await outcomes.stop()
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 'error', approvalId: inUse.id, outcome: 'failed', gate: 'gate' },
    { level: 'error', approvalId: inUse.id, outcome: 'executed', gate: 'gate' },
  ])
})
