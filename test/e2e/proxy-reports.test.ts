import { expect } from 'vitest'
import { proxied } from '../support/proxy-world.ts'

proxied('an agent has no say on what became of a call that the gate forwards', async (world) => {
  const { admin, agent, asked, call, send, upstream } = world
  let answer = () => {}
  upstream.answer = (_request, response) => {
    answer = () => response.end('done')
  }
  const { answer: held } = send('POST', 'api/refunds/1', { body: 'x' })
  const { id } = await asked()
  await admin.decide(id, 'approve')
  await upstream.calls(1)
  for (const status of ['not_executed', 'failed', 'executed']) {
    const report = await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status } })
    expect(report).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
  }
  expect((await admin.record(id)).status).toBe('claimed')
  answer()
  expect((await held).status).toBe(200)
  const record = await admin.recordThat(id, ({ status }) => status === 'settled')
  expect(record.settlement).toMatchObject({ outcome: 'executed', status: 200 })
  // The same call again asks anew: the one use is gone.
  const again = await call('POST', 'api/refunds/1', { body: 'x', headers: { prefer: 'respond-async' } })
  expect([again.status, again.json.approvalId === id]).toEqual([202, false])
  expect(upstream.received).toHaveLength(1)
})
