import { expect } from 'vitest'
import type { ApprovalView } from '../../lib/core/view.ts'
import { scenario } from '../support/server.ts'

const later = { headers: { prefer: 'respond-async' } }
type Items = { items: ApprovalView[]; next?: string }

scenario('nothing pending: the long-poll answers 200 and an empty list at its limit', async ({ admin }) => {
  const startedAt = Date.now()
  const { status, body } = await admin.send<Items>('GET', '/v1/approvals/pending?wait=1')
  expect([status, body.items]).toEqual([200, []])
  expect(Date.now() - startedAt).toBeGreaterThanOrEqual(950)
})

scenario('a new request wakes the long-poll; excluded ids never do; expired ones are never listed', async (world) => {
  const { agent, admin } = world
  const waiting = admin.send<Items>('GET', '/v1/approvals/pending?wait=20')
  const first = (await agent.ask('kept.x', { n: 1 }, later)).body.approvalId ?? ''
  expect((await waiting).body.items.map(({ id }) => id)).toEqual([first])

  const excluding = admin.send<Items>('GET', `/v1/approvals/pending?wait=20&exclude=${first}`)
  const second = (await agent.ask('kept.x', { n: 2 }, later)).body.approvalId ?? ''
  expect((await excluding).body.items.map(({ id }) => id)).toEqual([second])

  const quick = (await agent.ask('quick.x', {}, later)).body.approvalId ?? ''
  await admin.recordThat(quick, ({ status }) => status === 'expired')
  const listed = (await admin.send<Items>('GET', '/v1/approvals/pending')).body.items.map(({ id }) => id)
  expect(listed.sort()).toEqual([first, second].sort())
  const tooMany = Array.from({ length: 501 }, (_, index) => `apr_${index}`).join(',')
  expect((await admin.send('GET', `/v1/approvals/pending?exclude=${tooMany}`)).status).toBe(400)
})

scenario('lists are newest first, filtered, and read in pages', async (world) => {
  const { agent, admin } = world
  const other = await world.caller('other', 'agent')
  for (const n of [1, 2, 3, 4, 5]) await agent.ask('kept.a', { n, note: '100%_sure' }, later)
  await other.ask('stripe.refund', { amount: 1 }, later)
  await admin.pending(6)
  const list = async (query: string) => (await admin.send<Items>('GET', `/v1/approvals?${query}`)).body
  const all = await list('')
  expect(all.items).toHaveLength(6)
  expect(all.items.map(({ requestedAt }) => requestedAt)).toEqual(
    all.items
      .map(({ requestedAt }) => requestedAt)
      .toSorted()
      .toReversed(),
  )
  expect((await list('agent=other')).items).toHaveLength(1)
  expect((await list('tool=kept.a')).items).toHaveLength(5)
  expect((await list('risk=high')).items).toHaveLength(1)
  expect((await list('q=100%25_SURE')).items).toHaveLength(5)
  expect((await list('q=100__sure')).items).toHaveLength(0)
  expect((await list('status=denied,expired')).items).toHaveLength(0)

  const pages: string[] = []
  for (let next: string | undefined = ''; next !== undefined; ) {
    const page: Items = await list(`limit=2${next === '' ? '' : `&after=${next}`}`)
    pages.push(...page.items.map(({ id }) => id))
    next = page.next
  }
  expect(pages).toEqual(all.items.map(({ id }) => id))

  for (const query of ['limit=0', 'limit=201', 'limit=x', 'after=x', 'status=maybe', 'risk=none', 'color=red'])
    expect([query, (await admin.send('GET', `/v1/approvals?${query}`)).status]).toEqual([query, 400])
})

scenario('a long-poll that is open while the server stops gets 200 and an empty list', async (world) => {
  const waiting = world.admin.send<Items>('GET', '/v1/approvals/pending?wait=20')
  // Its request is in: another on the same server was answered after it was sent.
  await world.admin.send('GET', '/v1/session')
  await world.stop()
  expect(await waiting).toMatchObject({ status: 200, body: { items: [] } })
})

scenario('an admin expires what is stale; an approver may not', async (world) => {
  const { agent, admin } = world
  const bob = await world.caller('bob', 'approver')
  const id = (await agent.ask('quick.x', {}, later)).body.approvalId ?? ''
  expect((await bob.send('POST', '/v1/approvals/expire', { body: { allStale: true } })).status).toBe(403)
  expect((await admin.send('POST', '/v1/approvals/expire', { body: {} })).status).toBe(422)
  await admin.recordThat(id, ({ status }) => status === 'expired')
  expect((await admin.send('POST', '/v1/approvals/expire', { body: { allStale: true } })).body).toEqual({ expired: 0 })
})
