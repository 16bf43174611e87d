import { expect, it } from 'vitest'
import { type Approval, CLAIM_TIMEOUT_MS } from '../../../../lib/core/approval.ts'
import type { SettleReport } from '../../../../lib/ports/decider.ts'
import { type OpenCall, OpenCalls } from '../../../../services/gate/mcp/open-calls.ts'
import { HandClock } from '../../../support/hand-clock.ts'

const principal = { id: 'a', name: 'a', tenant: 'default', role: 'agent' as const, groups: [], email: null }

function start({ isAway = false } = {}) {
  const clock = new HandClock(0)
  const reports: SettleReport[] = []
  const told: SettleReport[] = []
  const calls = new OpenCalls({
    clock,
    gate: 'gate-1',
    approvals: {
      async report(report) {
        if (isAway) throw new Error('the bus is away')
        reports.push(report)
        return { reported: { ...report, use: 1 } }
      },
      tell: (report) => void told.push(report),
    },
  })
  const begin = (id: number, client: AbortSignal) => {
    const ended = new AbortController()
    const call: OpenCall = {
      ...{ id, key: `key ${id}`, principal, editedArgs: null, client, end: () => ended.abort() },
      approval: { id: `apr_${id}`, claim: { use: 1 } } as Approval,
    }
    calls.begin(call)
    return { call, ended: ended.signal }
  }
  return { clock, calls, begin, reports, told }
}

it('ends a call that is never answered when its use is closed, once its client is gone', async () => {
  const { clock, calls, begin, reports } = start()
  const gone = begin(1, AbortSignal.abort())
  const client = new AbortController()
  const waiting = begin(2, client.signal)
  await clock.pass(CLAIM_TIMEOUT_MS - 1)
  expect([reports, gone.ended.aborted, calls.hasOpen('key 1')]).toEqual([[], false, true])
  await clock.pass(1)
  expect(reports.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual(['apr_1 unknown', 'apr_2 unknown'])
  expect([gone.ended.aborted, waiting.ended.aborted, calls.hasOpen('key 1')]).toEqual([true, false, false])
  client.abort()
  expect(waiting.ended.aborted).toBe(true)
})

it('leaves a call alone that was answered in time', async () => {
  const { clock, calls, begin, reports } = start()
  const { call, ended } = begin(1, AbortSignal.abort())
  await calls.answered(call, { jsonrpc: '2.0', id: 1, result: { content: [] } })
  await clock.pass(2 * CLAIM_TIMEOUT_MS)
  expect(reports.map(({ outcome }) => outcome)).toEqual(['executed'])
  expect(ended.aborted).toBe(false)
})

it('tells what could not be reported at once, so that limits hear of it too', async () => {
  const { calls, begin, told } = start({ isAway: true })
  await calls.settle(begin(1, new AbortController().signal).call, 'not_executed', null)
  expect(told).toMatchObject([{ id: 'apr_1', use: 1, outcome: 'not_executed' }])
})

it('finds a call by the events of its own stream alone', () => {
  const { calls, begin } = start()
  const { call } = begin(1, new AbortController().signal)
  calls.keep('session', 'e1', call)
  expect(calls.resumed('session', 'e1')).toBe(call)
  expect(calls.resumed('session', 'e2')).toBeUndefined()
  expect(calls.resumed('other', 'e1')).toBeUndefined()
})
