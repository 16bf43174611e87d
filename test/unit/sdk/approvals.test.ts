import { expect, test } from 'vitest'
import { createClient } from '../../../clients/sdk/index.ts'
import { approvalId, inTurn, refusal, serve, view } from './fixture.ts'

test('lists, shows and decides', async () => {
  const server = await serve(inTurn({ body: { items: [view(1)], next: null } }, { body: view(1) }, { body: view(1) }))
  const { approvals } = createClient({ url: server.url, key: 'cst_x' })
  expect((await approvals.list({ status: ['pending', 'denied'], q: 'a&b', limit: 5 })).items).toHaveLength(1)
  await approvals.get(approvalId(1))
  await approvals.decide(approvalId(1), 'approve', { reason: 'ok', edits: { amount: 1 } })
  expect(server.received.map(({ method, url, body }) => [method, url.pathname + url.search, body])).toEqual([
    ['GET', '/v1/approvals?status=pending%2Cdenied&q=a%26b&limit=5', undefined],
    ['GET', `/v1/approvals/${approvalId(1)}`, undefined],
    ['POST', `/v1/approvals/${approvalId(1)}/decision`, { decision: 'approve', reason: 'ok', edits: { amount: 1 } }],
  ])
})

test('an id can never become another path', async () => {
  const server = await serve(() => ({ body: view(1) }))
  await createClient({ url: server.url }).approvals.get('../keys?x=1#')
  expect(server.received[0]?.url.pathname).toBe('/v1/approvals/..%2Fkeys%3Fx%3D1%23')
})

test('a decision that came too late carries the standing one', async () => {
  const server = await serve(() =>
    refusal('already_decided', 409, {
      detail: 'It was denied already by bob.',
      approval: view(1, { status: 'denied' }),
    }),
  )
  await expect(createClient({ url: server.url }).approvals.decide(approvalId(1), 'approve')).rejects.toMatchObject({
    code: 'already_decided',
    status: 409,
    problem: { approval: { status: 'denied' } },
  })
})

test('many ids are sent 200 at a time, with a result for each', async () => {
  const server = await serve(({ body }) => ({
    body: { results: (body as { ids: string[] }).ids.map((id) => ({ id, ok: true })) },
  }))
  const ids = Array.from({ length: 401 }, (_, index) => approvalId(index))
  const results = await createClient({ url: server.url }).approvals.decideAll(ids, 'deny', { reason: 'sweep' })
  expect(results.map(({ id }) => id)).toEqual(ids)
  expect(server.received.map(({ body }) => (body as { ids: string[] }).ids.length)).toEqual([200, 200, 1])
})

test('an answer of another server is refused', async () => {
  const server = await serve(() => ({ body: { hello: 1 } }))
  const { approvals } = createClient({ url: server.url })
  for (const call of [approvals.list(), approvals.get('x'), approvals.decideAll(['x'], 'deny')])
    await expect(call).rejects.toMatchObject({ code: 'invalid_response' })
})

test('with a problem, the fields that are wrong are named', async () => {
  const server = await serve(() =>
    refusal('invalid_body', 422, { detail: 'Not valid.', errors: [{ path: '/decision', message: 'is required' }] }),
  )
  await expect(createClient({ url: server.url }).approvals.decide('x', 'approve')).rejects.toThrow(
    'Not valid.\n  /decision: is required',
  )
})
