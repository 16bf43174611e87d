import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { prepareDataDirectory } from '../../../lib/adapters/sqlite/data-directory.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createLogBus, type LogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { headOfLog, readLog } from '../../../lib/adapters/sqlite/read-log.ts'
import { MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import type { Delivery } from '../../../lib/ports/bus.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { type MainStorage, openMainStorage, remove, temporaryDirectory } from '../../conformance/sqlite-storage.ts'
import { decideEvent, REQUESTED_AT, requestedEvent } from '../../support/approvals.ts'

describe('log bus', () => {
  let path: string
  let storage: MainStorage
  let bus: LogBus

  const open = (clock: Clock = realClock) => {
    storage = openMainStorage(path)
    const { db, groupCommit } = storage
    bus = createLogBus({ db, groupCommit, codec: jsonCodec, clock, source: 'test' })
  }
  const close = async () => {
    await bus.close()
    storage.close()
  }
  beforeEach(() => {
    path = temporaryDirectory()
    open()
  })
  afterEach(async () => {
    await close()
    remove(path)
  })

  const read = (query: { after?: number; limit?: number; topics?: string[] } = {}) =>
    readLog({ db: storage.db, codec: jsonCodec }, { after: 0, limit: 100, ...query })
  const aged = (age: number) => requestedEvent({ requestedAt: REQUESTED_AT + age })
  const drain = async (group: string) => {
    const seen: Delivery[] = []
    const handler = (batch: readonly Delivery[]) => void seen.push(...batch)
    const subscription = await bus.subscribe({ group, topics: ['approval.requested'], handler })
    const head = headOfLog(storage.db)
    await vi.waitFor(() => expect(seen.at(-1)?.position.offset).toBe(head))
    await subscription.close()
    return seen
  }

  it('shows the log in pages, by topic, and what cannot be decoded', async () => {
    const events = [aged(0), aged(1), aged(2)]
    await bus.publish(events)
    storage.db
      .prepare('INSERT INTO log (topic, key, event_id, at, value, headers) VALUES (?, ?, ?, ?, ?, ?)')
      .run('approval.decided', 'k', 'e', 0, new Uint8Array([1]), '{}')
    expect(headOfLog(storage.db)).toBe(4)
    const [first, ...rest] = read()
    expect(first).toMatchObject({ seq: 1, topic: 'approval.requested', event: events[0], error: null })
    expect(rest).toHaveLength(3)
    expect(read({ after: 1, limit: 2 }).map(({ seq }) => seq)).toEqual([2, 3])
    expect(read({ topics: ['approval.decided'] })).toMatchObject([{ seq: 4, event: null, error: expect.any(String) }])
  })

  it('prunes what is old and what every group has passed, and gives no position twice', async () => {
    await bus.publish([aged(0), aged(1), aged(2)])
    await drain('fast')
    const stuck = await bus.subscribe({
      group: 'slow',
      topics: ['approval.requested'],
      handler: () => Promise.reject(new Error('not now')),
    })
    expect(await bus.prune(REQUESTED_AT + 2)).toBe(0)
    await stuck.close()
    await drain('slow')
    expect(await bus.prune(REQUESTED_AT + 2)).toBe(2)
    expect(read().map(({ seq }) => seq)).toEqual([3])
    expect(await bus.prune(REQUESTED_AT + 3)).toBe(1)

    await close()
    open()
    await bus.publish([aged(4)])
    expect(read().map(({ seq }) => seq)).toEqual([4])
    expect((await drain('slow')).map(({ position }) => position.offset)).toEqual([4])
    expect((await drain('new')).map(({ position }) => position.offset)).toEqual([4])
  })

  it('hands on at most 500 events at once, and reads a long log to its end', async () => {
    const events = Array.from({ length: 1_200 }, () => requestedEvent())
    await bus.publish(events)
    const sizes: number[] = []
    await bus.broadcast({
      topics: ['approval.requested'],
      handler: (batch) => void sizes.push(batch.length),
      rewind: 1_200,
    })
    await vi.waitFor(() => expect(sizes).toEqual([500, 500, 200]))
  })

  it('writes offsets at intervals, not for every batch', async () => {
    await close()
    const timers: (() => void)[] = []
    open({
      now: () => 0,
      after: (_, callback) => {
        timers.push(callback)
        return () => {}
      },
    })
    const offset = () => storage.db.prepare('SELECT seq FROM group_offsets').get()?.seq
    const handler = vi.fn()
    await bus.subscribe({ group: 'g', topics: ['approval.requested'], handler })
    for (let round = 1; round <= 3; round++) {
      await bus.publish([requestedEvent()])
      await vi.waitFor(() => expect(handler).toHaveBeenCalledTimes(round))
    }
    expect(offset()).toBe(0)
    expect(timers).toHaveLength(1)
    timers[0]!()
    await vi.waitFor(() => expect(offset()).toBe(3))
  })

  it('knows of each topic how far a group has come', async () => {
    const request = requestedEvent()
    await bus.publish([decideEvent(request), request])
    await drain('g')
    const seen: string[] = []
    const later = requestedEvent()
    await bus.subscribe({
      group: 'g',
      topics: ['approval.requested', 'approval.decide'],
      handler: (batch) => void seen.push(...batch.map(({ eventId }) => eventId)),
    })
    await bus.publish([later])
    await vi.waitFor(() => expect(seen).toContain(later.eventId))
    expect(seen).toEqual([decideEvent(request).eventId, later.eventId])
  })

  it('says that it is away when the disk is full, and may be tried again a second later', async () => {
    await close()
    let now = 0
    open({ now: () => now, after: () => () => {} })
    const { db } = storage
    db.exec('PRAGMA max_page_count = 1')
    const big = requestedEvent({ approvers: Array.from({ length: 20_000 }, (_, index) => `approver-${index}`) })
    await expect(bus.publish([big])).rejects.toMatchObject({ code: 'bus_unavailable' })
    expect(bus.isReady()).toBe(false)
    now = 1_000
    expect(bus.isReady()).toBe(true)
    db.exec('PRAGMA max_page_count = 1000000')
    await bus.publish([big])
    expect(read()).toHaveLength(1)
  })

  it('can be read when nobody has it open', async () => {
    await bus.publish([requestedEvent()])
    await close()
    const db = openDatabase(prepareDataDirectory(path).database, MAIN_SCHEMA, { readOnly: true })
    expect(readLog({ db, codec: jsonCodec }, { after: 0, limit: 10 })).toHaveLength(1)
    db.close()
    open()
  })
})
