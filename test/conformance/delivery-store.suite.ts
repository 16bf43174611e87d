import { afterEach, describe, expect, it } from 'vitest'
import type { Delivery, DeliveryStore } from '../../lib/ports/delivery-store.ts'
import { aDelivery, CREATED_AT, dead, delivered, retried } from '../support/deliveries.ts'

/** A store over storage of its own, empty at first. */
export interface DeliveryStoreHarness {
  store: DeliveryStore
  /** Another instance on the same storage at the same time, as another worker has it. */
  openAnother(): Promise<DeliveryStore>
  /** Another instance over the same storage, after those before were closed. */
  reopen(): Promise<DeliveryStore>
  /** Closes what is open and removes the storage. */
  cleanUp(): Promise<void>
}

const LEASE_MS = 30_000
const NOW = CREATED_AT + 1_000

/** What every delivery store must do. */
export function runDeliveryStoreConformance(name: string, makeHarness: () => Promise<DeliveryStoreHarness>): void {
  describe(`delivery store: ${name}`, () => {
    const harnesses: DeliveryStoreHarness[] = []
    const start = async (): Promise<DeliveryStoreHarness> => {
      const harness = await makeHarness()
      harnesses.push(harness)
      return harness
    }
    const startWith = async (...deliveries: Delivery[]): Promise<DeliveryStore> => {
      const { store } = await start()
      await store.insert(deliveries)
      return store
    }
    afterEach(async () => {
      for (const harness of harnesses.splice(0)) await harness.cleanUp()
    })

    type Claim = Parameters<DeliveryStore['claim']>[0]
    const claim = (store: DeliveryStore, more: Partial<Claim> = {}): Promise<Delivery[]> =>
      store.claim({ endpoint: 'ops', owner: 'worker-1', now: NOW, leaseMs: LEASE_MS, limit: 10, ...more })
    const ids = (deliveries: Delivery[]): string[] => deliveries.map(({ id }) => id)
    /** Two or more deliveries about one approval, in their order. */
    const aLine = (...types: Delivery['type'][]): Delivery[] => {
      const { approvalId } = aDelivery()
      return types.map((type, index) =>
        aDelivery({ approvalId, type, version: index + 1, createdAt: CREATED_AT + index }),
      )
    }

    describe('insert', () => {
      it('keeps a delivery as it is', async () => {
        const waiting = aDelivery()
        const ended = { ...dead(aDelivery({ approvalId: null, type: 'webhook.test' })), receipt: '17.3', attempts: 3 }
        const store = await startWith(waiting, ended)
        expect(await store.get(waiting.id)).toEqual(waiting)
        expect(await store.get(ended.id)).toEqual(ended)
        expect(await store.get('dlv_unknown')).toBeUndefined()
      })

      it('keeps the first of two with one id, and says how many were new', async () => {
        const [first, second] = [aDelivery(), aDelivery()]
        const { store } = await start()
        expect(await store.insert([first])).toBe(1)
        expect(await store.insert([{ ...first, body: 'other' }, second])).toBe(1)
        expect(await store.insert([first, second])).toBe(0)
        expect(await store.insert([])).toBe(0)
        expect(await store.get(first.id)).toEqual(first)
        expect(await store.get(second.id)).toEqual(second)
      })

      it('makes one of many that several workers insert at once', async () => {
        const harness = await start()
        const stores = [harness.store, await harness.openAnother()]
        const deliveries = Array.from({ length: 20 }, () => aDelivery())
        const counts = await Promise.all(Array.from({ length: 10 }, (_, turn) => stores[turn % 2]!.insert(deliveries)))
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20)
      })

      it('changes nothing of one that was claimed since', async () => {
        const delivery = aDelivery()
        const store = await startWith(delivery)
        const [claimed] = await claim(store)
        expect(await store.insert([delivery])).toBe(0)
        expect(await store.get(delivery.id)).toEqual(claimed)
      })

      it('survives a restart, with all that was written', async () => {
        const harness = await start()
        const [delivery, other] = [aDelivery(), aDelivery({ dueAt: NOW + 5 })]
        await harness.store.insert([delivery, other])
        const [claimed] = await claim(harness.store)
        await harness.store.finish('worker-1', retried(claimed!, NOW + 2_000))
        const store = await harness.reopen()
        expect(await store.get(delivery.id)).toEqual({ ...retried(claimed!, NOW + 2_000) })
        expect(await store.due(NOW)).toEqual({ endpoints: [], nextAt: NOW + 5 })
      })
    })

    describe('claim', () => {
      it('takes what is due, the longest due first, up to the limit, for the lease', async () => {
        const deliveries = [3, 1, 2, 4].map((age) => aDelivery({ dueAt: NOW - age }))
        const store = await startWith(...deliveries, aDelivery({ dueAt: NOW + 1 }))
        const claimed = await claim(store, { limit: 3 })
        expect(ids(claimed)).toEqual([deliveries[3]!.id, deliveries[0]!.id, deliveries[2]!.id])
        expect(claimed[0]).toEqual({ ...deliveries[3]!, owner: 'worker-1', attempts: 1, dueAt: NOW + LEASE_MS })
        expect(await store.get(claimed[0]!.id)).toEqual(claimed[0])
        expect(ids(await claim(store))).toEqual([deliveries[1]!.id])
        expect(await claim(store)).toEqual([])
      })

      it('takes what is due to the millisecond, and nothing of another endpoint', async () => {
        const [mine, other] = [aDelivery({ dueAt: NOW }), aDelivery({ endpoint: 'audit' })]
        const store = await startWith(mine, other)
        expect(await claim(store, { now: NOW - 1 })).toEqual([])
        expect(ids(await claim(store))).toEqual([mine.id])
        expect(ids(await claim(store, { endpoint: 'audit' }))).toEqual([other.id])
      })

      it('takes nothing that has ended', async () => {
        const store = await startWith(delivered(aDelivery()), dead(aDelivery()), {
          ...aDelivery(),
          status: 'stopped',
          endedAt: NOW,
        })
        expect(await claim(store)).toEqual([])
        expect(await store.due(NOW)).toEqual({ endpoints: [], nextAt: undefined })
      })

      it('gives each delivery to one of many workers', async () => {
        const harness = await start()
        const deliveries = Array.from({ length: 120 }, () => aDelivery({ endpoint: 'busy' }))
        await harness.store.insert(deliveries)
        const stores = [harness.store, await harness.openAnother(), await harness.openAnother()]
        const takeAll = async (owner: string, store: DeliveryStore): Promise<string[]> => {
          const mine: string[] = []
          for (;;) {
            const claimed = await claim(store, { endpoint: 'busy', owner, limit: 3 })
            if (claimed.length === 0) return mine
            for (const delivery of claimed) expect(delivery).toMatchObject({ owner, attempts: 1 })
            mine.push(...ids(claimed))
          }
        }
        const taken = await Promise.all(
          Array.from({ length: 12 }, (_, worker) => takeAll(`worker-${worker}`, stores[worker % 3]!)),
        )
        expect(taken.flat().sort()).toEqual(ids(deliveries).sort())
      })

      it('never has two of one approval out, with many workers and many attempts', async () => {
        const harness = await start()
        const lines = Array.from({ length: 8 }, () =>
          aLine('approval.requested', 'approval.expiring', 'approval.decided', 'approval.settled'),
        )
        await harness.store.insert(lines.flat().reverse())
        const stores = [harness.store, await harness.openAnother(), await harness.openAnother()]
        const out = new Set<string>()
        const done: Delivery[] = []
        const work = async (owner: string, store: DeliveryStore): Promise<void> => {
          while (done.length < 32) {
            for (const delivery of await claim(store, { owner, limit: 4 })) {
              expect(out).not.toContain(delivery.approvalId)
              out.add(delivery.approvalId!)
              await store.get(delivery.id)
              out.delete(delivery.approvalId!)
              if (delivery.attempts > 1) done.push(delivery)
              const next = delivery.attempts > 1 ? delivered(delivery, NOW) : retried(delivery, NOW)
              expect(await store.finish(owner, next)).toBe(true)
            }
          }
        }
        await Promise.all(Array.from({ length: 9 }, (_, index) => work(`worker-${index}`, stores[index % 3]!)))
        for (const line of lines) {
          const order = done.filter(({ approvalId }) => approvalId === line[0]!.approvalId)
          expect(ids(order)).toEqual(ids(line))
        }
      })

      it('gives what a dead worker had to another when the lease ends, and not before', async () => {
        const delivery = aDelivery()
        const harness = await start()
        await harness.store.insert([delivery])
        await claim(harness.store)
        const other = await harness.openAnother()
        const asOther = { owner: 'worker-2', now: NOW + LEASE_MS - 1 }
        expect(await claim(other, asOther)).toEqual([])
        expect(await claim(other, { ...asOther, now: NOW + LEASE_MS })).toEqual([
          { ...delivery, owner: 'worker-2', attempts: 2, dueAt: NOW + 2 * LEASE_MS },
        ])
      })
    })

    describe('the order of one approval at an endpoint', () => {
      it('lets a later one wait until the earlier one is done, and then no longer', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(decided!, requested!)
        const claimed = await claim(store)
        expect(ids(claimed)).toEqual([requested!.id])
        expect(await claim(store, { owner: 'worker-2' })).toEqual([])
        await store.finish('worker-1', delivered(claimed[0]!, NOW))
        expect(await store.due(NOW)).toEqual({ endpoints: ['ops'], nextAt: undefined })
        expect(ids(await claim(store, { owner: 'worker-2' }))).toEqual([decided!.id])
      })

      it('lets a later one wait for the retries of the earlier one, without anything being due', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(requested!, decided!)
        const [first] = await claim(store)
        await store.finish('worker-1', retried(first!, NOW + 5_000))
        expect(await claim(store)).toEqual([])
        const { endpoints, nextAt } = await store.due(NOW)
        expect(endpoints).toEqual([])
        expect(nextAt).toBe(NOW + 5_000)
        expect(ids(await claim(store, { now: NOW + LEASE_MS }))).toEqual([requested!.id])
      })

      it('goes on with the later one when the earlier one is given up', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(requested!, decided!)
        const [first] = await claim(store)
        await claim(store)
        await store.finish('worker-1', dead(first!, NOW))
        expect(ids(await claim(store))).toEqual([decided!.id])
      })

      it('says nothing of another approval, of another endpoint, or of what is about none', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const elsewhere = { ...decided!, id: 'dlv_elsewhere', endpoint: 'audit' }
        const tests = [1, 2].map((version) => aDelivery({ approvalId: null, type: 'webhook.test', version }))
        const other = aDelivery({ version: 9 })
        const store = await startWith(requested!, decided!, elsewhere, other, ...tests)
        expect(ids(await claim(store)).sort()).toEqual(ids([requested!, other, ...tests]).sort())
        expect(ids(await claim(store, { endpoint: 'audit' }))).toEqual([elsewhere.id])
      })

      it('is that of creation where versions are the same', async () => {
        const [first, second] = aLine('approval.requested', 'approval.expiring').map((each) => ({
          ...each,
          version: 1,
        }))
        const store = await startWith(second!, first!)
        expect(ids(await claim(store))).toEqual([first!.id])
      })

      it('waits for one that is out although it came later', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(decided!)
        const [out] = await claim(store)
        await store.insert([requested!])
        expect(await claim(store)).toEqual([])
        await store.finish('worker-1', delivered(out!, NOW))
        expect(ids(await claim(store))).toEqual([requested!.id])
      })

      it('finds what is free behind hundreds that must stand back', async () => {
        const lines = Array.from({ length: 250 }, () => aLine('approval.requested', 'approval.decided'))
        const free = aDelivery({ dueAt: NOW })
        const waiting = lines.map(([requested]) => ({ ...requested!, attempts: 1, dueAt: NOW + 60_000 }))
        const blocked = lines.map(([, decided]) => ({ ...decided!, dueAt: NOW - 1 }))
        const store = await startWith(...waiting, ...blocked, free)
        expect(ids(await claim(store))).toEqual([free.id])
        expect(await store.due(NOW)).toEqual({ endpoints: [], nextAt: NOW + LEASE_MS })
        await store.stop({ approvalId: waiting[7]!.approvalId!, types: ['approval.requested'], at: NOW })
        expect(await store.due(NOW)).toMatchObject({ endpoints: ['ops'] })
        expect(ids(await claim(store))).toEqual([blocked[7]!.id])
      })
    })

    describe('finish', () => {
      it('saves what came of the attempt and ends the lease', async () => {
        const store = await startWith(aDelivery())
        const [claimed] = await claim(store)
        const next = { ...delivered(claimed!, NOW), receipt: '1700.2' }
        expect(await store.finish('worker-1', next)).toBe(true)
        expect(await store.get(next.id)).toEqual(next)
        expect(await store.finish('worker-1', next)).toBe(false)
      })

      it('makes it due again for whoever comes first', async () => {
        const store = await startWith(aDelivery())
        const [claimed] = await claim(store)
        await store.finish('worker-1', retried(claimed!, NOW + 2_000))
        expect(await claim(store, { now: NOW + 1_999 })).toEqual([])
        const [again] = await claim(store, { owner: 'worker-2', now: NOW + 2_000 })
        expect(again).toMatchObject({ id: claimed!.id, owner: 'worker-2', attempts: 2 })
        expect(again!.log).toHaveLength(1)
      })

      it('changes nothing when another worker has it, or a later attempt of the same', async () => {
        const store = await startWith(aDelivery())
        const [first] = await claim(store)
        const later = NOW + LEASE_MS
        const [second] = await claim(store, { owner: 'worker-2', now: later })
        expect(await store.finish('worker-1', delivered(first!, later))).toBe(false)
        const [third] = await claim(store, { owner: 'worker-2', now: later + LEASE_MS })
        expect(await store.finish('worker-2', delivered(second!, later))).toBe(false)
        expect(await store.get(first!.id)).toEqual(third)
        expect(await store.finish('worker-2', delivered(third!, later))).toBe(true)
      })

      it('counts when the lease has ended and nobody else has come', async () => {
        const store = await startWith(aDelivery())
        const [claimed] = await claim(store)
        const late = NOW + 2 * LEASE_MS
        expect(await store.finish('worker-1', delivered(claimed!, late))).toBe(true)
        expect(await claim(store, { now: late })).toEqual([])
      })

      it('of an unknown one is false', async () => {
        const { store } = await start()
        expect(await store.finish('worker-1', delivered(aDelivery()))).toBe(false)
      })
    })

    describe('stop', () => {
      const tried = (delivery: Delivery): Delivery => ({ ...delivery, attempts: 1, dueAt: NOW + 5_000 })

      it('ends the waiting ones of these types about this approval, at every endpoint', async () => {
        const [requested, expiring, decided] = aLine('approval.requested', 'approval.expiring', 'approval.decided').map(
          tried,
        )
        const elsewhere = { ...requested!, id: 'dlv_elsewhere', endpoint: 'audit' }
        const [other, done] = [tried(aDelivery()), delivered({ ...requested!, id: 'dlv_done', endpoint: 'done' })]
        const store = await startWith(requested!, expiring!, decided!, elsewhere, other, done)
        const request = {
          approvalId: requested!.approvalId!,
          types: ['approval.requested', 'approval.expiring'] as const,
          at: NOW,
        }
        await store.stop(request)
        await store.stop({ ...request, at: NOW + 1 })
        for (const stopped of [requested!, expiring!, elsewhere])
          expect(await store.get(stopped.id)).toEqual({ ...stopped, status: 'stopped', endedAt: NOW })
        expect(await store.get(done.id)).toEqual(done)
        expect(ids(await claim(store, { now: NOW + 5_000 })).sort()).toEqual(ids([decided!, other]).sort())
      })

      it('of one that was never tried leaves it one attempt', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(requested!, decided!)
        const request = { approvalId: requested!.approvalId!, types: ['approval.requested'] as const, at: NOW }
        await store.stop(request)
        expect(await store.get(requested!.id)).toEqual(requested)
        const [out] = await claim(store)
        expect(out!.id).toBe(requested!.id)
        const next = retried(out!, NOW + 2_000, NOW + 20)
        expect(await store.finish('worker-1', next)).toBe(true)
        expect(await store.get(out!.id)).toMatchObject({ status: 'stopped', endedAt: NOW + 20, log: next.log })
        expect(ids(await claim(store))).toEqual([decided!.id])
      })

      it.each([
        ['delivered', delivered],
        ['dead', dead],
      ] as const)('of one that was never tried leaves it %s when that is what comes of it', async (status, end) => {
        const store = await startWith(aDelivery())
        const [waiting] = await store.list({ tenant: 'default', endpoint: 'ops', limit: 1 })
        await store.stop({ approvalId: waiting!.approvalId!, types: ['approval.requested'], at: NOW })
        const [out] = await claim(store)
        await store.finish('worker-1', end(out!, NOW + 9))
        expect(await store.get(out!.id)).toMatchObject({ status, endedAt: NOW + 9 })
      })

      it('lets one that is replayed be tried once', async () => {
        const delivery = tried(aDelivery())
        const store = await startWith(delivery)
        await store.stop({ approvalId: delivery.approvalId!, types: ['approval.requested'], at: NOW })
        await store.replay(delivery.id, NOW)
        const [out] = await claim(store)
        await store.finish('worker-1', retried(out!, NOW + 2_000, NOW + 20))
        expect(await store.get(delivery.id)).toMatchObject({ status: 'stopped', endedAt: NOW + 20 })
      })

      it('of one that is out lets it come back first, and then tries it no more', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(requested!, decided!)
        const [out] = await claim(store)
        await store.stop({ approvalId: out!.approvalId!, types: ['approval.requested'], at: NOW })
        expect(await claim(store)).toEqual([])
        const next = retried(out!, NOW + 1)
        expect(await store.finish('worker-1', next)).toBe(true)
        expect(await store.get(out!.id)).toMatchObject({ status: 'stopped', endedAt: NOW, owner: null, log: next.log })
        expect(ids(await claim(store))).toEqual([decided!.id])
      })

      it('leaves it delivered when that is what came of it', async () => {
        const store = await startWith(aDelivery())
        const [out] = await claim(store)
        await store.stop({ approvalId: out!.approvalId!, types: ['approval.requested'], at: NOW })
        const next = { ...delivered(out!, NOW + 3), receipt: '17' }
        expect(await store.finish('worker-1', next)).toBe(true)
        expect(await store.get(out!.id)).toMatchObject({ status: 'delivered', endedAt: NOW + 3, receipt: '17' })
      })

      it('of one that a dead worker had holds up nobody past its lease', async () => {
        const [requested, decided] = aLine('approval.requested', 'approval.decided')
        const store = await startWith(requested!, decided!)
        const [out] = await claim(store)
        await store.stop({ approvalId: out!.approvalId!, types: ['approval.requested'], at: NOW })
        expect(await claim(store, { owner: 'worker-2' })).toEqual([])
        expect(ids(await claim(store, { owner: 'worker-2', now: NOW + LEASE_MS }))).toEqual([decided!.id])
      })

      it('of an endpoint ends all that wait there, and nothing else', async () => {
        const mine = Array.from({ length: 450 }, () => aDelivery({ endpoint: 'gone' }))
        const [done, other] = [delivered(aDelivery({ endpoint: 'gone' })), aDelivery()]
        const store = await startWith(...mine, done, other)
        expect(await store.stopEndpoint({ endpoint: 'gone', at: NOW })).toBe(450)
        expect(await store.get(mine[3]!.id)).toEqual({ ...mine[3]!, status: 'stopped', endedAt: NOW })
        expect(await store.get(done.id)).toEqual(done)
        expect(await store.due(NOW)).toEqual({ endpoints: ['ops'], nextAt: undefined })
      })
    })

    describe('due', () => {
      it('names each endpoint once that has something due, and the next instant after now', async () => {
        const store = await startWith(
          aDelivery({ endpoint: 'b', dueAt: NOW }),
          aDelivery({ endpoint: 'b', dueAt: NOW - 5 }),
          aDelivery({ endpoint: 'a', dueAt: NOW - 9 }),
          aDelivery({ endpoint: 'a', dueAt: NOW + 7 }),
          aDelivery({ endpoint: 'c', dueAt: NOW + 3 }),
          dead(aDelivery({ endpoint: 'd' })),
        )
        const { endpoints, nextAt } = await store.due(NOW)
        expect(endpoints.sort()).toEqual(['a', 'b'])
        expect(nextAt).toBe(NOW + 3)
        expect(await store.due(0)).toEqual({ endpoints: [], nextAt: NOW - 9 })
      })

      it('says when a lease ends', async () => {
        const store = await startWith(aDelivery())
        await claim(store)
        expect(await store.due(NOW)).toEqual({ endpoints: [], nextAt: NOW + LEASE_MS })
        expect(await store.due(NOW + LEASE_MS)).toEqual({ endpoints: ['ops'], nextAt: undefined })
      })
    })

    describe('receipt', () => {
      it('is that of the latest delivery of this approval at this endpoint which has one', async () => {
        const [requested, expiring, decided] = aLine('approval.requested', 'approval.expiring', 'approval.decided')
        const store = await startWith(
          { ...delivered(requested!), receipt: 'one' },
          { ...delivered(expiring!), receipt: 'two' },
          decided!,
          { ...delivered(decided!), id: 'dlv_elsewhere', endpoint: 'audit', receipt: 'three' },
        )
        expect(await store.receipt('ops', requested!.approvalId!)).toBe('two')
        expect(await store.receipt('audit', requested!.approvalId!)).toBe('three')
        expect(await store.receipt('ops', 'apr_unknown')).toBeNull()
        expect(await store.receipt('other', requested!.approvalId!)).toBeNull()
      })
    })

    describe('outcomes', () => {
      it('are known of those approvals that a decision was made of, whatever became of it', async () => {
        const [waiting, ended, asked] = [
          aDelivery({ type: 'approval.decided' }),
          delivered(aDelivery({ type: 'approval.decided', endpoint: 'other' })),
          aDelivery(),
        ]
        const store = await startWith(waiting, ended, asked)
        const approvalIds = [waiting, ended, asked, aDelivery()].map(({ approvalId }) => approvalId ?? '')
        expect([...(await store.withOutcome(approvalIds))].sort()).toEqual(approvalIds.slice(0, 2).sort())
        expect(await store.withOutcome([])).toEqual(new Set())
      })
    })

    describe('list', () => {
      it('is newest first, of one endpoint of one tenant, and of one status where asked', async () => {
        const made = (age: number, more: Partial<Delivery> = {}) => aDelivery({ createdAt: CREATED_AT - age, ...more })
        const [one, two, three] = [made(1), dead(made(2)), delivered(made(3))]
        const store = await startWith(three, one, two, made(0, { endpoint: 'x' }), made(0, { tenant: 'other' }))
        const query = { tenant: 'default', endpoint: 'ops', limit: 10 }
        expect(await store.list(query)).toEqual([one, two, three])
        expect(await store.list({ ...query, limit: 2 })).toEqual([one, two])
        expect(await store.list({ ...query, status: 'dead' })).toEqual([two])
        expect(await store.list({ ...query, status: 'stopped' })).toEqual([])
      })

      it('pages without a gap or a repeat', async () => {
        const states = [(each: Delivery) => each, delivered, dead]
        const deliveries = Array.from({ length: 25 }, (_, index) =>
          states[index % 3]!(aDelivery({ createdAt: CREATED_AT + Math.floor(index / 4) })),
        )
        const store = await startWith(...deliveries)
        const seen: string[] = []
        let after: { createdAt: number; id: string } | undefined
        for (;;) {
          const page = await store.list({ tenant: 'default', endpoint: 'ops', limit: 4, ...(after ? { after } : {}) })
          seen.push(...ids(page))
          const last = page.at(-1)
          if (!last) break
          after = { createdAt: last.createdAt, id: last.id }
        }
        const newestFirst = [...deliveries].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
        expect(seen).toEqual(ids(newestFirst))
      })
    })

    describe('replay', () => {
      it.each([
        ['dead', dead(aDelivery())],
        ['delivered', delivered(aDelivery())],
        ['stopped', { ...aDelivery(), status: 'stopped', endedAt: CREATED_AT } as const],
      ])('makes one that is %s wait again, from its first attempt', async (_, ended) => {
        const store = await startWith({ ...ended, attempts: 8 })
        expect(await store.replay(ended.id, NOW)).toBe(true)
        expect(await store.get(ended.id)).toEqual({
          ...ended,
          status: 'waiting',
          attempts: 0,
          dueAt: NOW,
          endedAt: null,
        })
        const [claimed] = await claim(store)
        expect(claimed).toMatchObject({ id: ended.id, attempts: 1 })
      })

      it('of one that waits, or of an unknown one, is false', async () => {
        const waiting = aDelivery({ dueAt: NOW + 9 })
        const store = await startWith(waiting)
        expect(await store.replay(waiting.id, NOW)).toBe(false)
        expect(await store.replay('dlv_unknown', NOW)).toBe(false)
        expect(await store.get(waiting.id)).toEqual(waiting)
      })

      it('of one that was stopped while it was out takes it from the worker that had it', async () => {
        const store = await startWith(aDelivery())
        const [out] = await claim(store)
        await store.stop({ approvalId: out!.approvalId!, types: ['approval.requested'], at: NOW })
        expect(await store.replay(out!.id, NOW)).toBe(true)
        expect(await store.finish('worker-1', delivered(out!))).toBe(false)
        expect(ids(await claim(store))).toEqual([out!.id])
      })

      it('of all dead ones since then says how many', async () => {
        const made = (age: number, more: Partial<Delivery> = {}) =>
          dead(aDelivery({ createdAt: CREATED_AT - age, ...more }))
        const since = Array.from({ length: 210 }, () => made(5))
        const others = [made(6), made(0, { endpoint: 'x' }), made(0, { tenant: 'other' }), delivered(aDelivery())]
        const store = await startWith(...since, ...others)
        const request = { tenant: 'default', endpoint: 'ops', since: CREATED_AT - 5, at: NOW }
        expect(await store.replayDead(request)).toBe(210)
        expect(await store.replayDead(request)).toBe(0)
        expect(await store.get(since[9]!.id)).toMatchObject({
          status: 'waiting',
          attempts: 0,
          dueAt: NOW,
          endedAt: null,
        })
        for (const other of others) expect(await store.get(other.id)).toEqual(other)
      })
    })

    describe('prune', () => {
      it('deletes what ended before, and nothing that waits', async () => {
        const old = Array.from({ length: 220 }, () => delivered(aDelivery(), NOW - 1))
        const [recent, waiting] = [delivered(aDelivery(), NOW), aDelivery({ createdAt: 1, dueAt: 1 })]
        const store = await startWith(...old, recent, waiting)
        expect(await store.prune(NOW)).toBe(220)
        expect(await store.prune(NOW)).toBe(0)
        expect(await store.get(old[0]!.id)).toBeUndefined()
        expect(await store.get(recent.id)).toEqual(recent)
        expect(await store.get(waiting.id)).toEqual(waiting)
      })
    })

    it('answers a ping, and refuses every call once it is closed', async () => {
      const { store } = await start()
      await store.ping()
      await store.close()
      const unavailable = { code: 'decider_unavailable' }
      await expect(store.insert([aDelivery()])).rejects.toMatchObject(unavailable)
      await expect(claim(store)).rejects.toMatchObject(unavailable)
      await expect(store.due(NOW)).rejects.toMatchObject(unavailable)
      await expect(store.ping()).rejects.toMatchObject(unavailable)
    })
  })
}
