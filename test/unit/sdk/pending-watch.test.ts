import { setImmediate as turn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { type ApprovalView, createClient } from '../../../clients/sdk/index.ts'
import { approvalId, inTurn, type Reply, refusal, serve, view } from './fixture.ts'

/** A decider's pending routes over a set that tests change: long-polls answer at once or when something is added. */
async function decider(pageSize = 200) {
  const pending = new Map<string, ApprovalView>()
  const waiting = new Set<() => void>()
  const server = await serve(async ({ url }, response): Promise<Reply> => {
    if (url.pathname === '/v1/approvals') {
      const all = [...pending.values()].reverse()
      const start = Number(url.searchParams.get('after') ?? 0)
      const items = all.slice(start, start + pageSize)
      return { body: { items, next: start + pageSize < all.length ? String(start + pageSize) : null } }
    }
    const excluded = new Set((url.searchParams.get('exclude') ?? '').split(','))
    const find = () => [...pending.values()].filter(({ id }) => !excluded.has(id))
    while (find().length === 0 && !response.destroyed)
      await new Promise<void>((resolve) => {
        waiting.add(resolve)
        response.on('close', resolve)
      })
    return { body: { items: find() } }
  })
  return {
    ...server,
    add(...numbers: number[]) {
      for (const number of numbers) pending.set(approvalId(number), view(number))
      for (const wake of waiting) wake()
    },
    end: (number: number) => pending.delete(approvalId(number)),
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

test('each pending approval is given once, old and new', async () => {
  const server = await decider()
  server.add(1, 2)
  const given: string[] = []
  const stop = createClient({ url: server.url }).approvals.onPending(({ id }) => {
    given.push(id)
  })
  await expect.poll(() => given).toEqual([approvalId(1), approvalId(2)])
  server.add(3)
  await expect.poll(() => given).toHaveLength(3)
  await expect.poll(() => server.received).toHaveLength(3)
  expect(server.received[2]?.url.search).toBe(`?wait=30&exclude=${range(1, 3).map(approvalId).join(',')}`)
  stop()
})

test('what no longer pends is forgotten, so that the address stays short', async () => {
  const server = await decider()
  server.add(...range(1, 250))
  const given = new Set<string>()
  let calls = 0
  const stop = createClient({ url: server.url }).approvals.onPending(({ id }) => {
    calls += 1
    given.add(id)
    if (given.size === 250) for (const number of range(1, 100)) server.end(number)
  })
  await expect.poll(() => given.size).toBe(250)
  // With 150 left, waiting works again.
  await expect.poll(() => server.received.at(-1)?.url.searchParams.get('exclude')?.split(',')).toHaveLength(150)
  server.add(251)
  await expect.poll(() => given.size).toBe(251)
  expect(calls).toBe(251)
  expect(Math.max(...server.received.map(({ url }) => url.search.length))).toBeLessThan(8000)
  stop()
})

test('more pending than can be excluded: read by pages, still once each', async () => {
  const server = await decider()
  server.add(...range(1, 450))
  const given: string[] = []
  const stop = createClient({ url: server.url }).approvals.onPending(({ id }) => {
    given.push(id)
  })
  await expect.poll(() => given.length).toBe(450)
  server.add(451)
  await expect.poll(() => given.length, { timeout: 5000 }).toBe(451)
  expect(new Set(given).size).toBe(451)
  expect(server.received.length).toBeLessThan(12)
  stop()
})

test('stops at once, by function and by signal', async () => {
  const server = await decider()
  const { approvals } = createClient({ url: server.url })
  const onError = vi.fn()
  const stop = approvals.onPending(() => {}, { onError })
  await expect.poll(() => server.received).toHaveLength(1)
  stop()
  const controller = new AbortController()
  approvals.onPending(() => {}, { signal: controller.signal, onError })
  await expect.poll(() => server.received).toHaveLength(2)
  controller.abort()
  await turn()
  approvals.onPending(() => {}, { signal: controller.signal, onError })
  await turn()
  expect(server.received).toHaveLength(2)
  expect(onError).not.toHaveBeenCalled()
})

test('goes on after failures that pass, and after a callback that throws', async () => {
  const server = await serve(
    inTurn(refusal('decider_unavailable', 503), { body: { items: [view(1), view(2), view(3)] } }, () => undefined),
  )
  const given: string[] = []
  const errors: unknown[] = []
  const stop = createClient({ url: server.url, retryForMs: 0 }).approvals.onPending(
    ({ id }) => {
      given.push(id)
      if (id === approvalId(1)) throw new Error('sync')
      return id === approvalId(2) ? Promise.reject(new Error('async')) : undefined
    },
    { onError: (error) => errors.push(error) },
  )
  await expect.poll(() => server.received).toHaveLength(3)
  expect(given).toEqual([approvalId(1), approvalId(2), approvalId(3)])
  expect(errors).toMatchObject([{ code: 'decider_unavailable' }, { message: 'sync' }, { message: 'async' }])
  stop()
})

test('a server that does not wait is not asked in a tight circle', async () => {
  const times: number[] = []
  const server = await serve(() => {
    times.push(performance.now())
    return { body: { items: [] } }
  })
  const stop = createClient({ url: server.url }).approvals.onPending(() => {})
  await expect.poll(() => times.length, { timeout: 5000 }).toBe(2)
  stop()
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1500)
})

test('a failure that does not pass ends it', async () => {
  const server = await serve(() => refusal('unauthenticated', 401))
  const errors: unknown[] = []
  createClient({ url: server.url }).approvals.onPending(() => {}, { onError: (error) => errors.push(error) })
  await expect.poll(() => errors).toMatchObject([{ code: 'unauthenticated' }])
  await turn()
  expect(server.received).toHaveLength(1)
})
