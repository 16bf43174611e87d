import type { Approval } from '../../lib/core/approval.ts'
import { auditApproval } from '../../lib/core/audit.ts'
import type { CallRecord } from './call.ts'

/**
 * What is wrong, one line each; empty when every call came to exactly one end, and agent, upstream and record agree on
 * it: nothing lost, nothing done twice, every history whole.
 */
export async function reconcile(calls: readonly CallRecord[], records: AsyncIterable<Approval>): Promise<string[]> {
  const faults: string[] = []
  const left = new Map(calls.map((each) => [each.id, each]))
  for await (const record of records) {
    const made = left.get(record.id)
    left.delete(record.id)
    if (!made) faults.push(`${record.id}: a record of no call`)
    else faults.push(...faultsOf(made, record).map((fault) => `call ${made.number} (${record.id}): ${fault}`))
  }
  for (const { number, answer } of left.values())
    faults.push(`call ${number}: lost, answered ${answer} without a record`)
  return faults
}

function faultsOf(made: CallRecord, record: Approval): string[] {
  const faults = auditApproval(record)
  const times = (...types: string[]) => record.history.filter(({ type }) => types.includes(type)).length
  const expect = (what: string, found: unknown, expected: unknown) => {
    if (found !== expected) faults.push(`${what}: ${found}, not ${expected}`)
  }
  const isApproved = made.wanted === 'approve'
  if (made.fault !== null) faults.push(made.fault)
  expect('its answer', made.answer, isApproved ? 'allowed' : 'denied')
  expect('executions upstream', made.executions, isApproved ? 1 : 0)
  expect('its state', record.status, isApproved ? 'settled' : 'denied')
  expect('decisions', times('approved', 'denied', 'expired', 'cancelled'), 1)
  expect('claims', times('claimed'), isApproved ? 1 : 0)
  expect('outcomes', times('settled', 'returned'), isApproved ? 1 : 0)
  if (isApproved) expect('its outcome', record.settlement?.outcome, 'executed')
  return faults
}
