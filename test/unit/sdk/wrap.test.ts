import { expect, test } from 'vitest'
import { createClient } from '../../../clients/sdk/index.ts'
import { allow, approvalId, inTurn, refusal, serve } from './fixture.ts'

const reports = (received: { url: URL; body: unknown }[]) =>
  received.filter(({ url }) => url.pathname.endsWith('/outcome')).map(({ body }) => body)

test('runs with what was approved, and reports', async () => {
  const server = await serve(inTurn(allow({ amount: 50 }), { body: {} }))
  const ran: unknown[] = []
  const refund = createClient({ url: server.url }).wrap(async function refund(args: { amount: number }) {
    ran.push(args)
    return `refunded ${args.amount}`
  })
  expect(await refund({ amount: 50000 })).toEqual({
    ok: true,
    value: 'refunded 50',
    edited: true,
    approvalId: approvalId(1),
    reported: true,
  })
  expect(ran).toEqual([{ amount: 50 }])
  expect(server.received[0]?.body).toEqual({ tool: 'refund', args: { amount: 50000 } })
  expect(reports(server.received)).toEqual([{ status: 'executed' }])
})

test('a denial runs nothing', async () => {
  const server = await serve(inTurn(refusal('approval_denied', 403, { reason: 'no' })))
  let ran = false
  const wrapped = createClient({ url: server.url }).wrap(
    () => {
      ran = true
    },
    { tool: 'T' },
  )
  expect(await wrapped()).toMatchObject({ ok: false, denial: { code: 'approval_denied', reason: 'no' } })
  expect(ran).toBe(false)
})

test("the function's error is reported by its kind alone, and rethrown", async () => {
  const server = await serve(inTurn(allow({}), { body: {} }))
  const wrapped = createClient({ url: server.url }).wrap(
    () => Promise.reject(Object.assign(new Error('password hunter2 is wrong'), { code: 'EAUTH' })),
    { tool: 'T' },
  )
  await expect(wrapped()).rejects.toThrow('hunter2')
  expect(reports(server.received)).toEqual([{ status: 'failed', detail: 'Error EAUTH' }])
})

test('a report that fails takes neither value nor error away', async () => {
  const server = await serve(({ url }) =>
    url.pathname.endsWith('/outcome') ? refusal('decider_unavailable', 503) : allow({ fail: false }),
  )
  const client = createClient({ url: server.url, retryForMs: 0 })
  const wrapped = client.wrap(() => 7, { tool: 'T' })
  expect(await wrapped()).toMatchObject({ ok: true, value: 7, reported: false })
  const failing = client.wrap(() => Promise.reject(new Error('mine')), { tool: 'T' })
  await expect(failing()).rejects.toThrow('mine')
})

test('several parameters go through args and onArgs, which belong together', async () => {
  const server = await serve(inTurn(allow({ from: 'a', to: 'c' }), { body: {} }))
  const client = createClient({ url: server.url })
  const move = (from: string, to: string) => `${from}→${to}`
  const wrapped = client.wrap(move, {
    args: (from, to) => ({ from, to }),
    onArgs: ({ from, to }) => [from, to],
  })
  expect(await wrapped('a', 'b')).toMatchObject({ ok: true, value: 'a→c', edited: true })
  expect(() => client.wrap(move, { args: () => ({}) } as never)).toThrow(/onArgs/)
  await expect(client.wrap(move)('a', 'b')).rejects.toMatchObject({ code: 'usage' })
  expect(() => client.wrap(() => 1)).toThrow(/tool/)
})

test('arguments that cannot be applied are reported as not executed', async () => {
  const server = await serve(inTurn(allow({ to: 1 }), { body: {} }))
  const wrapped = createClient({ url: server.url }).wrap((to: string) => to, {
    tool: 'T',
    args: (to) => ({ to }),
    onArgs: () => {
      throw new TypeError('to must be text')
    },
  })
  await expect(wrapped('b')).rejects.toThrow('to must be text')
  expect(reports(server.received)).toEqual([{ status: 'not_executed', detail: 'TypeError' }])
})
