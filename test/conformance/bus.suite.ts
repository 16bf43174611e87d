import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { DomainEvent, EventOf, Topic } from '../../lib/core/events.ts'
import { type Bus, type Delivery, PoisonMessageError } from '../../lib/ports/bus.ts'
import { decideEvent, requestedEvent, settledEvent } from '../support/approvals.ts'
import { createInbox, deferred, PATIENCE } from './inbox.ts'

/** A bus over storage of its own, empty at first. */
export interface BusHarness {
  /** Another instance over the same storage, after the one before was closed. */
  reopen(): Promise<Bus>
  /** What the topic set aside, oldest first. */
  deadLetters(topic: Topic): Promise<{ eventId: string; cause: string }[]>
  /** Puts bytes on a topic that no codec can decode. */
  appendGarbage(topic: Topic, key: string): Promise<void>
  /** Closes what is open and removes the storage. */
  cleanUp(): Promise<void>
  bus: Bus
}

const REQUESTED: Topic[] = ['approval.requested']

/** What every bus must do. */
export function runBusConformance(name: string, makeHarness: () => Promise<BusHarness>): void {
  describe(`bus: ${name}`, () => {
    const harnesses: BusHarness[] = []
    const start = async (): Promise<BusHarness> => {
      const harness = await makeHarness()
      harnesses.push(harness)
      return harness
    }
    afterEach(async () => {
      for (const harness of harnesses.splice(0)) await harness.cleanUp()
    })

    it('delivers what was published, whole, with its source and position', async () => {
      const { bus } = await start()
      const inbox = createInbox()
      await bus.broadcast({ topics: REQUESTED, handler: inbox.handler })
      const event = requestedEvent({ reasonRequired: ['deny'], holder: 'gate:1:1' })
      await bus.publish([event])
      await inbox.has(1)
      const [{ source, position, ...rest }] = inbox.deliveries as [Delivery]
      expect(rest).toEqual(event)
      expect(source).not.toBe('')
      expect(position.offset).toBeGreaterThanOrEqual(0)
    })

    it('publishes nothing without complaint, and refuses when closed', async () => {
      const { bus } = await start()
      expect(bus.isReady()).toBe(true)
      await expect(bus.publish([])).resolves.toBeUndefined()
      await bus.close()
      expect(bus.isReady()).toBe(false)
      await expect(bus.publish([requestedEvent()])).rejects.toMatchObject({ code: 'bus_unavailable' })
    })

    it('keeps what was published across a restart, and a new group begins at the oldest', async () => {
      const harness = await start()
      const events = requests(5)
      await harness.bus.publish(events)
      const bus = await harness.reopen()
      const inbox = createInbox()
      await bus.subscribe({ group: group(), topics: REQUESTED, handler: inbox.handler })
      await inbox.has(5)
      expect(inbox.ids().sort()).toEqual(idsOf(events).sort())
    })

    it('goes on with a group where it stopped', async () => {
      const harness = await start()
      const name = group()
      const before = createInbox()
      const first = requests(10)
      await harness.bus.publish(first)
      await harness.bus.subscribe({ group: name, topics: REQUESTED, handler: before.handler })
      await before.has(10)

      const bus = await harness.reopen()
      const after = createInbox()
      const second = requests(10)
      await bus.publish(second)
      await bus.subscribe({ group: name, topics: REQUESTED, handler: after.handler })
      await after.has(10)
      expect(after.ids().sort()).toEqual(idsOf(second).sort())
    })

    it('gives each event to one member of a group, and one approval to the same member', async () => {
      const { bus } = await start()
      const name = group()
      const inboxes = [createInbox(), createInbox(), createInbox()]
      for (const inbox of inboxes) await bus.subscribe({ group: name, topics: REQUESTED, handler: inbox.handler })
      const keys = requests(30)
      const events = [0, 1, 2, 3].flatMap((round) => keys.map((event) => again(event, round)))
      for (const some of chunks(events, 20)) await bus.publish(some)

      const all = () => inboxes.flatMap((inbox) => inbox.deliveries)
      await vi.waitFor(() => expect(all()).toHaveLength(events.length), PATIENCE)
      expect(
        all()
          .map((each) => each.eventId)
          .sort(),
      ).toEqual(idsOf(events).sort())
      for (const key of keys) expect(roundsOf(all(), key)).toEqual([0, 1, 2, 3])
    })

    it('hands on the work of a member that leaves', async () => {
      const { bus } = await start()
      const name = group()
      const leaver = createInbox()
      const stayer = createInbox()
      const leaving = await bus.subscribe({ group: name, topics: REQUESTED, handler: leaver.handler })
      await bus.subscribe({ group: name, topics: REQUESTED, handler: stayer.handler })
      await leaving.close()
      const events = requests(20)
      await bus.publish(events)
      await stayer.has(20)
      expect(leaver.deliveries).toEqual([])
    })

    it('gives each group everything', async () => {
      const { bus } = await start()
      const inboxes = [createInbox(), createInbox()]
      for (const inbox of inboxes) await bus.subscribe({ group: group(), topics: REQUESTED, handler: inbox.handler })
      await bus.publish(requests(10))
      for (const inbox of inboxes) await inbox.has(10)
    })

    it('delivers the topics that were asked for, and no others', async () => {
      const { bus } = await start()
      const shared = createInbox()
      const own = createInbox()
      const topics: Topic[] = ['approval.decide', 'approval.settled']
      await bus.subscribe({ group: group(), topics, handler: shared.handler })
      await bus.broadcast({ topics, handler: own.handler })
      const request = requestedEvent()
      await bus.publish([request, settledEvent(request), decideEvent(request)])
      await shared.has(2)
      await own.has(2)
      for (const inbox of [shared, own])
        expect(new Set(inbox.deliveries.map(({ topic }) => topic))).toEqual(new Set(topics))
    })

    it('broadcasts to every subscription what is published once it is positioned, and nothing older', async () => {
      const { bus } = await start()
      await bus.publish(requests(3))
      for (let round = 0; round < 10; round++) {
        const inbox = createInbox()
        const subscription = await bus.broadcast({ topics: REQUESTED, handler: inbox.handler })
        const event = requestedEvent()
        await bus.publish([event])
        await inbox.has(1)
        expect(inbox.ids()).toEqual([event.eventId])
        await subscription.close()
      }
    })

    it('remembers nothing of a broadcast', async () => {
      const harness = await start()
      await harness.bus.broadcast({ topics: REQUESTED, handler: () => {} })
      await harness.bus.publish(requests(3))
      const bus = await harness.reopen()
      const inbox = createInbox()
      await bus.broadcast({ topics: REQUESTED, handler: inbox.handler })
      const event = requestedEvent()
      await bus.publish([event])
      await inbox.has(1)
      expect(inbox.ids()).toEqual([event.eventId])
    })

    it('has handled the rewound events when a broadcast resolves', async () => {
      const { bus } = await start()
      const key = requestedEvent()
      const events = Array.from({ length: 1_200 }, (_, round) => again(key, round))
      await bus.publish(events)
      const seen: string[] = []
      await bus.broadcast({
        topics: REQUESTED,
        handler: async (batch) => {
          await new Promise((resolve) => setImmediate(resolve))
          seen.push(...batch.map(({ eventId }) => eventId))
        },
        rewind: 1_000,
      })
      expect(seen).toEqual(events.slice(200).map(({ eventId }) => eventId))
    })

    it('rewinds a broadcast', async () => {
      const { bus } = await start()
      const key = requestedEvent()
      const events = [0, 1, 2, 3, 4].map((round) => again(key, round))
      for (const event of events) await bus.publish([event])
      const some = createInbox()
      const all = createInbox()
      await bus.broadcast({ topics: REQUESTED, handler: some.handler, rewind: 2 })
      await bus.broadcast({ topics: REQUESTED, handler: all.handler, rewind: 1_000 })
      const next = again(key, 5)
      await bus.publish([next])
      await some.has(3)
      await all.has(6)
      expect(some.ids()).toEqual(idsOf([...events.slice(3), next]))
      expect(all.ids()).toEqual(idsOf([...events, next]))
    })

    it('delivers a batch again until its handler takes it, and nobody else waits', async () => {
      const { bus } = await start()
      const inbox = createInbox()
      const other = createInbox()
      let failures = 0
      await bus.subscribe({
        group: group(),
        topics: REQUESTED,
        handler: (batch) => {
          if (other.deliveries.length === 0 || failures++ < 2) throw new Error('the store is away')
          return inbox.handler(batch)
        },
      })
      await bus.broadcast({ topics: REQUESTED, handler: other.handler })
      const event = requestedEvent()
      await bus.publish([event])
      await other.has(1)
      await inbox.has(1)
      expect(inbox.ids()).toEqual([event.eventId])
      expect(failures).toBeGreaterThan(2)
    })

    it('does not commit what a handler never took', async () => {
      const harness = await start()
      const name = group()
      const event = requestedEvent()
      const tried = vi.fn()
      await harness.bus.subscribe({
        group: name,
        topics: REQUESTED,
        handler: async () => {
          tried()
          throw new Error('the store is away')
        },
      })
      await harness.bus.publish([event])
      await vi.waitFor(() => expect(tried).toHaveBeenCalled(), PATIENCE)
      const bus = await harness.reopen()
      const inbox = createInbox()
      await bus.subscribe({ group: name, topics: REQUESTED, handler: inbox.handler })
      await inbox.has(1)
      expect(inbox.ids()).toEqual([event.eventId])
    })

    it('sets aside an event that can never be handled, and handles the rest', async () => {
      const harness = await start()
      const inbox = createInbox()
      const events = requests(5)
      const poison = events[2]!.eventId
      await harness.bus.subscribe({
        group: group(),
        topics: REQUESTED,
        handler: (batch) => {
          if (batch.some(({ eventId }) => eventId === poison))
            throw new PoisonMessageError(poison, new Error('no such tenant'))
          return inbox.handler(batch)
        },
      })
      await harness.bus.publish(events)
      await inbox.has(4)
      expect(inbox.ids().sort()).toEqual(
        idsOf(events)
          .filter((id) => id !== poison)
          .sort(),
      )
      await vi.waitFor(
        async () =>
          expect(await harness.deadLetters('approval.requested')).toEqual([
            { eventId: poison, cause: expect.stringContaining('no such tenant') },
          ]),
        PATIENCE,
      )
    })

    it('sets aside what cannot be decoded, and goes on; who hears a broadcast skips it', async () => {
      const harness = await start()
      const [inbox, own] = [createInbox(), createInbox()]
      const event = requestedEvent()
      await harness.appendGarbage('approval.requested', event.data.id)
      const topics = REQUESTED
      await harness.bus.broadcast({ topics, handler: own.handler, rewind: 10 })
      await harness.bus.subscribe({ group: group(), topics, handler: inbox.handler })
      await harness.bus.publish([event])
      await Promise.all([inbox.has(1), own.has(1)])
      for (const each of [inbox, own]) expect(each.ids()).toEqual([event.eventId])
      await vi.waitFor(async () => expect(await harness.deadLetters('approval.requested')).toHaveLength(1), PATIENCE)
    })

    it('keeps the order of each approval under many publishers', async () => {
      const { bus } = await start()
      const shared = createInbox()
      const own = createInbox()
      await bus.subscribe({ group: group(), topics: REQUESTED, handler: shared.handler })
      await bus.broadcast({ topics: REQUESTED, handler: own.handler })
      const keys = requests(64)
      await Promise.all(
        keys.map(async (key) => {
          for (let round = 0; round < 8; round++) await bus.publish([again(key, round)])
        }),
      )
      for (const inbox of [shared, own]) {
        await inbox.has(64 * 8)
        for (const key of keys) expect(roundsOf(inbox.deliveries, key)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      }
    })

    it('runs one handler of a subscription at a time', async () => {
      const { bus } = await start()
      let running = 0
      let most = 0
      const inbox = createInbox()
      await bus.broadcast({
        topics: REQUESTED,
        handler: async (batch) => {
          running += 1
          most = Math.max(most, running)
          await new Promise((resolve) => setImmediate(resolve))
          running -= 1
          await inbox.handler(batch)
        },
      })
      await Promise.all(requests(50).map((event) => bus.publish([event])))
      await inbox.has(50)
      expect(most).toBe(1)
    })

    it('waits for the running handler when it closes, and delivers nothing after', async () => {
      const { bus } = await start()
      const gate = deferred()
      const inbox = createInbox()
      const entered = vi.fn()
      const subscription = await bus.subscribe({
        group: group(),
        topics: REQUESTED,
        handler: async (batch) => {
          entered()
          await gate.promise
          await inbox.handler(batch)
        },
      })
      await bus.publish(requests(1))
      await vi.waitFor(() => expect(entered).toHaveBeenCalled(), PATIENCE)
      let closed = false
      const closing = subscription.close().then(() => {
        closed = true
      })
      await bus.publish(requests(1))
      expect(closed).toBe(false)
      gate.resolve()
      await closing
      expect(inbox.deliveries).toHaveLength(1)
      expect(entered).toHaveBeenCalledTimes(1)
    })
  })
}

const group = (): string => `group-${randomUUID()}`
const requests = (count: number): EventOf<'approval.requested'>[] =>
  Array.from({ length: count }, () => requestedEvent())
const idsOf = (events: readonly DomainEvent[]): string[] => events.map(({ eventId }) => eventId)

/** A later event about the same approval. */
const again = (event: EventOf<'approval.requested'>, round: number): EventOf<'approval.requested'> => ({
  ...event,
  eventId: `${event.data.id}:${round}`,
})

/** The rounds of one approval's events, in the order of delivery, each told once. */
const roundsOf = (deliveries: readonly Delivery[], { data }: EventOf<'approval.requested'>): number[] => [
  ...new Set(deliveries.filter((each) => each.data.id === data.id).map(({ eventId }) => Number(eventId.split(':')[1]))),
]

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}
