import { expect } from 'vitest'
import { auditApproval } from '../../lib/core/audit.ts'
import { type Caller, scenario } from '../support/server.ts'
import { recordsIn } from '../support/stored-records.ts'

const OUTCOMES = ['approved', 'denied', 'expired', 'cancelled', 'settled']

async function pendingId(admin: Caller) {
  return (await admin.pending())[0]?.id ?? ''
}

scenario(
  'every outcome leaves exactly one entry: who, what, when, through which channel, by which rule',
  async (world) => {
    const { agent, admin } = world
    const executed = agent.ask('kept.executed')
    const executedId = await pendingId(admin)
    await admin.decide(executedId, 'approve', { reason: 'fine' })
    await executed
    await agent.send('POST', `/v1/actions/${executedId}/outcome`, { body: { status: 'executed' } })
    const denied = agent.ask('kept.denied')
    await admin.decide(await pendingId(admin), 'deny')
    await denied
    await agent.ask('quick.expired')
    const withdrawn = agent.ask('kept.cancelled')
    await agent.send('DELETE', `/v1/actions/${await pendingId(admin)}`)
    await withdrawn
    await world.stop()

    const records = await recordsIn(world.dataDir)
    expect(records.map(({ status }) => status)).toEqual(['settled', 'denied', 'expired', 'cancelled'])
    for (const record of records) {
      expect(auditApproval(record)).toEqual([])
      const outcomes = record.history.filter(({ type }) => OUTCOMES.includes(type))
      expect(outcomes.map(({ type }) => type)).toEqual(
        record.status === 'settled' ? ['approved', 'settled'] : [record.status],
      )
      for (const { by, at } of outcomes) expect([by.id, by.name, by.type, by.via, at].every(Boolean)).toBe(true)
      expect(record.rule.id).not.toBe('')
    }
    expect(records.map(({ history }) => history.at(-1)?.by.type)).toEqual(['system', 'user', 'system', 'agent'])
  },
)
