import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import type { DomainEvent } from '../../../lib/core/events.ts'
import type { Bus } from '../../../lib/ports/bus.ts'
import { createInbox, type Inbox } from '../../conformance/inbox.ts'
import { withBackend } from '../../support/backends/backend.ts'
import { type Broker, startBroker } from '../../support/backends/kafka.ts'
import { freshPrefix, openBus, optionsFor, REQUESTED, requests } from './fixture.ts'

const PATIENCE = { timeout: 30_000, interval: 20 }

const findBroker = (): Promise<Broker | { reason: string }> =>
  startBroker().catch((error: unknown) => ({ reason: String(error) }))

await withBackend('kafka: faults', findBroker, (broker) => {
  const freshOptions = () => optionsFor(broker.url, freshPrefix())
  afterAll(() => broker.stop())

  describe('kafka, when the broker', { timeout: 90_000 }, () => {
    afterEach(async () => {
      broker.resume()
    })

    it('is killed and comes back: publishing fails soon and works again, and nothing that was published is lost', async () => {
      const bus = await openBus(freshOptions())
      const { shared, own, onGap } = await listen(bus)
      const publishing = publishUntilStopped(bus)
      await vi.waitFor(() => expect(publishing.published.length).toBeGreaterThan(50), PATIENCE)

      await broker.kill()
      await vi.waitFor(() => expect(publishing.failures.length).toBeGreaterThan(3), PATIENCE)
      expect(bus.isReady()).toBe(false)
      const [event] = requests(1)
      const asked = performance.now()
      await expect(bus.publish([event!])).rejects.toMatchObject({ code: 'bus_unavailable' })
      expect(performance.now() - asked).toBeLessThan(2_000)

      const before = publishing.published.length
      await broker.restart()
      await vi.waitFor(() => expect(bus.isReady()).toBe(true), PATIENCE)
      await vi.waitFor(() => expect(publishing.published.length).toBeGreaterThan(before + 50), PATIENCE)
      await publishing.stop()
      for (const inbox of [shared, own]) await hasAll(inbox, publishing.published)
      for (const failure of publishing.failures) expect(failure).toMatchObject({ code: 'bus_unavailable' })
      expect(onGap).toHaveBeenCalled()
    })

    it('answers nothing: publishing fails soon, and works again when it does', async () => {
      const bus = await openBus(freshOptions())
      const { own } = await listen(bus)
      broker.pause()
      const asked = performance.now()
      const attempts = requests(20).map((event) => bus.publish([event]))
      for (const attempt of await Promise.allSettled(attempts)) expect(attempt.status).toBe('rejected')
      expect(performance.now() - asked).toBeLessThan(2_000)
      await vi.waitFor(() => expect(bus.isReady()).toBe(false), PATIENCE)
      broker.resume()
      await vi.waitFor(() => expect(bus.isReady()).toBe(true), PATIENCE)
      const events = requests(20)
      await bus.publish(events)
      await hasAll(own, events)
    })

    it.each(['pause', 'kill'] as const)('is away (%s): closing does not wait for it', async (how) => {
      const bus = await openBus(freshOptions())
      await listen(bus)
      await broker[how]()
      const asked = performance.now()
      await bus.close()
      expect(performance.now() - asked).toBeLessThan(3_000)
      if (how === 'kill') await broker.restart()
    })

    it('is away: a bus does not start', async () => {
      broker.pause()
      await expect(openBus(freshOptions())).rejects.toMatchObject({ code: 'bus_unavailable' })
    })
  })
})

interface Publishing {
  published: DomainEvent[]
  failures: unknown[]
  stop(): Promise<void>
}

function publishUntilStopped(bus: Bus): Publishing {
  const published: DomainEvent[] = []
  const failures: unknown[] = []
  let stopped = false
  async function run(): Promise<void> {
    while (!stopped) {
      const events = requests(2)
      await bus.publish(events).then(
        () => published.push(...events),
        (error: unknown) => failures.push(error),
      )
    }
  }
  const running = Promise.all([run(), run()])
  return {
    published,
    failures,
    stop: async () => {
      stopped = true
      await running
    },
  }
}

async function listen(bus: Bus): Promise<{ shared: Inbox; own: Inbox; onGap: ReturnType<typeof vi.fn> }> {
  const shared = createInbox()
  const own = createInbox()
  const onGap = vi.fn()
  await bus.subscribe({ group: `group-${randomUUID()}`, topics: REQUESTED, handler: shared.handler })
  await bus.broadcast({ topics: REQUESTED, handler: own.handler, onGap })
  return { shared, own, onGap }
}

async function hasAll(inbox: Inbox, events: readonly DomainEvent[]): Promise<void> {
  await vi.waitFor(() => {
    const seen = new Set(inbox.ids())
    expect(events.filter(({ eventId }) => !seen.has(eventId))).toEqual([])
  }, PATIENCE)
}
