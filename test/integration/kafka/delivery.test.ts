import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { listDeadLetters, redriveDeadLetters } from '../../../lib/adapters/kafka/dead-letters.ts'
import { RedriveInProgressError } from '../../../lib/adapters/kafka/redrive-lock.ts'
import type { DomainEvent } from '../../../lib/core/events.ts'
import { type Bus, PoisonMessageError } from '../../../lib/ports/bus.ts'
import { createInbox, type Inbox, PATIENCE } from '../../conformance/inbox.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { requestedEvent } from '../../support/approvals.ts'
import { findBackend, withBackend } from '../../support/backends/backend.ts'
import { freshPrefix, openBus, optionsFor, REQUESTED, requests } from './fixture.ts'

await withBackend(
  'kafka: delivery',
  () => findBackend('kafka'),
  ({ url }) => {
    const kafka = new Kafka({ brokers: url.split(','), logLevel: logLevel.NOTHING })

    const openAdmin = async () => {
      const admin = kafka.admin()
      await admin.connect()
      onTestFinished(() => admin.disconnect())
      return admin
    }

    describe('topics', () => {
      it('are created as planned', async () => {
        const topicPrefix = freshPrefix(url)
        const createTopics = { partitions: 5, replicationFactor: 1, retentionMs: 60_000 }
        await openBus({ ...optionsFor(url, topicPrefix), createTopics })
        const admin = await openAdmin()
        const names = ['requested', 'decide', 'decided', 'settled'].map((name) => `${topicPrefix}approval.${name}`)
        const { topics } = await admin.fetchTopicMetadata({ topics: [...names, ...names.map((name) => `${name}.dlq`)] })
        const count = (name: string) => topics.find((topic) => topic.name === name)?.partitions.length
        for (const name of names) expect([count(name), count(`${name}.dlq`)]).toEqual([5, 1])
      })

      it('that are missing are named when they may not be created', async () => {
        const { createTopics: _, ...options } = optionsFor(url, freshPrefix(url))
        await expect(openBus(options)).rejects.toThrow(`${options.topicPrefix}approval.escalated.dlq, and`)
        await openBus(optionsFor(url, options.topicPrefix ?? ''))
        await openBus(options)
      })

      it('that several services create at once are created once', async () => {
        const options = optionsFor(url, freshPrefix(url))
        const buses = await Promise.all([openBus(options), openBus(options), openBus(options)])
        for (const bus of buses) await bus.publish(requests(1))
      })

      it('that are made anew are read from their beginning', async () => {
        const options = optionsFor(url, freshPrefix(url))
        const topic = `${options.topicPrefix}approval.requested`
        const bus = await openBus(options)
        const inbox = createInbox()
        const onGap = vi.fn()
        await bus.broadcast({ topics: REQUESTED, handler: inbox.handler, onGap })
        const first = requests(50)
        await bus.publish(first)
        await hasAll([inbox], first)
        const admin = await openAdmin()
        await admin.deleteTopics({ topics: [topic] })
        await vi.waitFor(() => admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }).then(expectTrue), PATIENCE)
        const second = requests(10)
        await vi.waitFor(() => bus.publish(second), PATIENCE)
        await hasAll([inbox], [...first, ...second])
        expect(onGap).toHaveBeenCalled()
      }, 60_000)
    })

    describe('a group', () => {
      it('loses nothing when members come and go in the middle of a burst', async () => {
        const options = optionsFor(url, freshPrefix(url))
        const group = `group-${randomUUID()}`
        const inboxes = [createInbox(), createInbox(), createInbox()]
        const [first, second, third] = await Promise.all([openBus(options), openBus(options), openBus(options)])
        const join = (bus: Bus | undefined, inbox: Inbox | undefined) =>
          bus!.subscribe({ group, topics: REQUESTED, handler: slowly(inbox!) })
        await join(first, inboxes[0])
        const burst = publishInTurn(first!, 300)
        const leaving = await join(second, inboxes[1])
        await join(third, inboxes[2])
        await leaving.close()
        const events = await burst
        await hasAll(inboxes, events)
      }, 60_000)

      it('goes on with other partitions while one is not handled', async () => {
        const bus = await openBus(optionsFor(url, freshPrefix(url)))
        const inbox = createInbox()
        const stuck = requestedEvent()
        await bus.subscribe({
          group: `group-${randomUUID()}`,
          topics: REQUESTED,
          handler: async (batch) => {
            if (batch.some(({ data }) => data.id === stuck.data.id)) throw new Error('the store is away')
            await inbox.handler(batch)
          },
        })
        await bus.publish([stuck])
        const events = requests(100)
        for (const event of events) await bus.publish([event])
        // Two thirds lie on other partitions, and those before it on its own may be handled too.
        await vi.waitFor(() => expect(inbox.deliveries.length).toBeGreaterThan(40), PATIENCE)
        expect(bus.isReady()).toBe(true)
      })
    })

    describe('a broadcast', () => {
      it('keeps its place when its handler blocks for longer than a session', async () => {
        const bus = await openBus({ ...optionsFor(url, freshPrefix(url)), sessionTimeoutMs: 6_000 })
        const inbox = createInbox()
        const onGap = vi.fn()
        let blocked = false
        await bus.broadcast({
          topics: REQUESTED,
          onGap,
          handler: async (batch) => {
            await inbox.handler(batch)
            if (blocked) return
            blocked = true
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7_500)
          },
        })
        const events = requests(30)
        await Promise.all(events.map((event) => bus.publish([event]).catch(() => bus.publish([event]))))
        await hasAll([inbox], events)
        const more = requests(30)
        await bus.publish(more)
        await hasAll([inbox], more)
        const positions = inbox.deliveries.map(({ position }) => `${position.partition}@${position.offset}`)
        expect(new Set(positions).size).toBe(positions.length)
        expect(onGap).toHaveBeenCalled()
      }, 60_000)

      it('leaves no group behind', async () => {
        const options = optionsFor(url, freshPrefix(url))
        const bus = await openBus(options)
        const subscription = await bus.broadcast({ topics: REQUESTED, handler: () => {} })
        const admin = await openAdmin()
        const groups = async () =>
          (await admin.listGroups()).groups.filter(({ groupId }) => groupId.startsWith(options.topicPrefix ?? ''))
        expect(await groups()).toHaveLength(1)
        await subscription.close()
        expect(await groups()).toEqual([])
      })

      it('rewinds over the markers of transactions', async () => {
        const options = optionsFor(url, freshPrefix(url))
        const bus = await openBus(options)
        const producer = kafka.producer({ transactionalId: randomUUID(), idempotent: true, maxInFlightRequests: 1 })
        await producer.connect()
        onTestFinished(() => producer.disconnect())
        const events = requests(6)
        for (const event of events) {
          const { value, headers } = jsonCodec.encode(event, 'elsewhere')
          const message = { key: event.data.id, value: Buffer.from(value), headers }
          const transaction = await producer.transaction()
          await transaction.send({ topic: `${options.topicPrefix}approval.requested`, messages: [message] })
          await transaction.commit()
        }
        const inbox = createInbox()
        const behindMarkers = createInbox()
        await bus.broadcast({ topics: REQUESTED, handler: inbox.handler, rewind: 1_000 })
        expect(inbox.ids().sort()).toEqual(events.map(({ eventId }) => eventId).sort())
        await bus.broadcast({ topics: REQUESTED, handler: behindMarkers.handler, rewind: 3 })
      })
    })

    it('refuses an event that Kafka finds too large, and publishes the others of that moment', async () => {
      const options = optionsFor(url, freshPrefix(url))
      const topic = `${options.topicPrefix}approval.requested`
      const configEntries = [{ name: 'max.message.bytes', value: '50000' }]
      await (await openAdmin()).createTopics({ topics: [{ topic, numPartitions: 3, configEntries }] })
      const bus = await openBus(options)
      const inbox = createInbox()
      await bus.broadcast({ topics: REQUESTED, handler: inbox.handler })
      const events = requests(5)
      const large = requestedEvent({ approvers: ['x'.repeat(60_000)] })
      const [refused, ...published] = await Promise.allSettled([large, ...events].map((event) => bus.publish([event])))
      expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'bus_unavailable' } })
      expect(published.map(({ status }) => status)).toEqual(events.map(() => 'fulfilled'))
      await hasAll([inbox], events)
      expect(inbox.ids()).not.toContain(large.eventId)
    })

    it('publishes more at once than one request holds', async () => {
      const bus = await openBus(optionsFor(url, freshPrefix(url)))
      const inbox = createInbox()
      await bus.broadcast({ topics: REQUESTED, handler: inbox.handler })
      const events = Array.from({ length: 60 }, () => requestedEvent({ approvers: ['x'.repeat(50_000)] }))
      await bus.publish(events)
      await hasAll([inbox], events)
    })

    it('sends dead letters back to their topic, once', async () => {
      const options = optionsFor(url, freshPrefix(url))
      const bus = await openBus(options)
      const inbox = createInbox()
      const events = requests(5)
      let isFixed = false
      await bus.subscribe({
        group: 'workers',
        topics: REQUESTED,
        handler: async (batch) => {
          const poison = batch.find(({ eventId }) => eventId === events[1]!.eventId || eventId === events[3]!.eventId)
          if (poison && !isFixed) throw new PoisonMessageError(poison.eventId, new Error('no such tenant'))
          await inbox.handler(batch)
        },
      })
      await bus.publish(events)
      const topic = 'approval.requested'
      const list = () => listDeadLetters(options, { topics: [topic], limit: 10 })
      await vi.waitFor(async () => expect(await list()).toHaveLength(2), PATIENCE)
      for (const letter of await list()) {
        expect(letter).toMatchObject({ topic, cause: 'no such tenant', consumer: 'workers' })
        expect(letter.eventId).toBe(`${letter.key}:0`)
      }
      expect(await listDeadLetters(options, { topics: [topic], limit: 1 })).toHaveLength(1)

      isFixed = true
      const [place] = await list()
      expect(await redriveDeadLetters(options, { topics: [topic], only: { partition: 0, offset: 99 } })).toBe(0)
      if (place) expect(await redriveDeadLetters(options, { topics: [topic], only: place })).toBe(1)
      expect(await list()).toHaveLength(1)
      // What was sent back is known by the topic itself, however long ago: groups forget after a week.
      await (await openAdmin()).deleteGroups([`${options.topicPrefix}countersign.redrive`])
      const both = await Promise.allSettled([1, 2].map(() => redriveDeadLetters(options, { topics: [topic] })))
      for (const each of both)
        if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(RedriveInProgressError)
      await redriveDeadLetters(options, { topics: [topic] })
      await inbox.has(5)
      expect(inbox.deliveries.map(({ data }) => data)).toEqual(expect.arrayContaining(events.map(({ data }) => data)))
      expect(await list()).toEqual([])
      expect(await redriveDeadLetters(options, { topics: [topic] })).toBe(0)
      const places = await (await openAdmin()).fetchTopicOffsets(`${options.topicPrefix}${topic}`)
      expect(places.reduce((sum, { high }) => sum + Number(high), 0)).toBe(5 + 2)
    })
  },
)

const expectTrue = (value: boolean) => expect(value).toBe(true)

/** A handler that takes its time, so that a rebalance finds it at work. */
const slowly = (inbox: Inbox) => async (batch: Parameters<Inbox['handler']>[0]) => {
  await new Promise((resolve) => setTimeout(resolve, 20))
  await inbox.handler(batch)
}

async function publishInTurn(bus: Bus, count: number): Promise<DomainEvent[]> {
  const events = requests(count)
  for (const event of events) {
    await bus.publish([event])
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return events
}

async function hasAll(inboxes: readonly Inbox[], events: readonly DomainEvent[]): Promise<void> {
  await vi.waitFor(() => {
    const seen = new Set(inboxes.flatMap((inbox) => inbox.ids()))
    expect(events.filter(({ eventId }) => !seen.has(eventId))).toEqual([])
  }, PATIENCE)
}
