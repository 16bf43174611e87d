import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { avroCodec } from '../../../lib/adapters/avro/event-codec.ts'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { createKeyStore } from '../../../lib/adapters/sqlite/key-store.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { KEYS_SCHEMA, MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { auditApproval } from '../../../lib/core/audit.ts'
import { Topic } from '../../../lib/core/events.ts'
import { createApproval } from '../../../lib/core/transition.ts'
import type { Bus } from '../../../lib/ports/bus.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { Directory } from '../../../lib/runtime/directory.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { createDecider } from '../../../services/decider/app.ts'
import { requestedEvent } from '../../support/approvals.ts'

const OVERDUE = 1_000

/** Deciders on one store, not started. */
function deciding({ count = 3, lines = [] as string[] } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-sweepers-'))
  const db = openDatabase(join(dir, 'countersign.db'), MAIN_SCHEMA)
  const keysDb = openDatabase(join(dir, 'keys.db'), KEYS_SCHEMA)
  const clock = systemClock
  const log = createLogger('info', { write: (line: string) => lines.push(line) })
  const groupCommit = createGroupCommit(db)
  const bus = createLogBus({ db, groupCommit, codec: avroCodec(), clock, source: 'test' })
  const store = createApprovalStore({ db, groupCommit, log })
  const directory = new Directory({ agents: [], approvers: [] }, createKeyStore({ db: keysDb, clock }), clock)
  const deciders = Array.from({ length: count }, () =>
    createDecider({
      ...{ store, bus, clock, log, directory, metrics: createMetrics() },
      decideTopic: 'refused',
      retentionMs: 86_400_000,
    }),
  )
  onTestFinished(async () => {
    for (const decider of deciders) await decider.close()
    await bus.close()
    await store.close()
    db.close()
    keysDb.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return { db, store, bus, deciders }
}

/** Resolves with the ids of the events of a topic when that many different ones were published. */
function published(bus: Bus, topic: Topic, count: number): Promise<string[]> {
  const eventIds: string[] = []
  return new Promise((resolve) => {
    void bus.broadcast({
      topics: [topic],
      handler: (batch) => {
        eventIds.push(...batch.map(({ eventId }) => eventId))
        if (new Set(eventIds).size === count) resolve(eventIds)
      },
    })
  })
}

test('several sweepers at once: every overdue record gets one outcome and one event', async () => {
  const { store, bus, deciders } = deciding()
  const requestedAt = Date.now() - 60_000
  const records = Array.from({ length: OVERDUE }, () =>
    createApproval(requestedEvent({ requestedAt, timeoutMs: 1_000 }).data, requestedAt),
  )
  await Promise.all(records.map((record) => store.insert(record)))
  const everyRecord = published(bus, Topic.decided, OVERDUE)
  await Promise.all(deciders.map((decider) => decider.start()))
  const eventIds = await everyRecord

  for (const { id } of records) {
    const record = await store.get(id)
    expect(record?.history.map(({ type }) => type)).toEqual(['requested', 'expired'])
    expect(record && auditApproval(record)).toEqual([])
  }
  expect(new Set(eventIds).size).toBe(OVERDUE)
})

test('several sweepers at once: every step and every warning is taken once, and nothing ends that goes on', async () => {
  const { store, bus, deciders } = deciding()
  const requestedAt = Date.now() - 60_000
  const step = { rule: 'big-refund', approvers: ['group:managers'], channels: [] }
  const terms = { requestedAt, timeoutMs: 3_600_000, warnAfterMs: 30_000, approvers: ['alice'] }
  const behind = Array.from({ length: OVERDUE }, () =>
    createApproval(
      requestedEvent({ ...terms, escalation: [10_000, 20_000].map((afterMs) => ({ ...step, afterMs })) }).data,
      0,
    ),
  )
  const anew = requestedEvent({
    ...{ ...terms, timeoutMs: 50_000, onTimeout: 'escalate', escalation: [{ ...step, afterMs: 50_000 }] },
  })
  await Promise.all([...behind, createApproval(anew.data, 0)].map((record) => store.insert(record)))
  const told = Promise.all([published(bus, Topic.escalated, 2 * OVERDUE + 1), published(bus, Topic.expiring, OVERDUE)])
  await Promise.all(deciders.map((decider) => decider.start()))
  await told

  for (const { id } of behind) {
    const record = await store.get(id)
    expect(record?.history.map(({ type }) => type)).toEqual(['requested', 'escalated', 'escalated', 'warned'])
    expect(record && auditApproval(record)).toEqual([])
  }
  const record = await store.get(anew.data.id)
  expect(record).toMatchObject({ status: 'pending', escalatedAt: [expect.any(Number)] })
  expect(record!.expiresAt).toBeGreaterThan(Date.now())
})

test('records that cannot be read or swept stop nothing behind them, keep nobody busy, and are named in the log', async () => {
  const lines: string[] = []
  const { db, store, bus, deciders } = deciding({ count: 1, lines })
  const requestedAt = Date.now() - 60_000
  const overdue = (dueAfter: number) =>
    createApproval(requestedEvent({ requestedAt, timeoutMs: 1_000 + dueAfter }).data, requestedAt)
  // More than a batch of each, and all of them due before the good ones.
  const unreadable = Array.from({ length: 250 }, () => overdue(0))
  const unsweepable = Array.from({ length: 250 }, () => overdue(1))
  const good = Array.from({ length: 250 }, () => overdue(2))
  await Promise.all([...unreadable, ...unsweepable, ...good].map((record) => store.insert(record)))
  const spoil = db.prepare('UPDATE approvals SET doc = ? WHERE id = ?')
  for (const { id } of unreadable) spoil.run('{', id)
  for (const { outbox, ...doc } of unsweepable) spoil.run(JSON.stringify({ ...doc, history: null }), doc.id)

  const [decider] = deciders
  let asked = 0
  const { findDue } = store
  store.findDue = (now, limit) => {
    asked++
    return findDue(now, limit)
  }
  const everyRecord = published(bus, Topic.decided, good.length)
  await decider?.start()
  await everyRecord
  const before = asked
  // A record that comes in is swept in its time, whatever lies before it.
  const late = createApproval(requestedEvent({ requestedAt: Date.now(), timeoutMs: 1_500 }).data, Date.now())
  const oneMore = published(bus, Topic.decided, 1)
  await store.insert(late)
  await oneMore
  expect(asked - before).toBeLessThan(20)
  for (const { id } of [...good, late]) expect((await store.get(id))?.status).toBe('expired')
  for (const { id } of unsweepable.slice(0, 3)) expect((await store.get(id))?.status).toBe('pending')
  const told = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error')
  expect(told.length).toBeLessThan(40)
  const named = (records: { id: string }[]) =>
    told.some(({ approvals }) => records.some(({ id }) => approvals?.includes(id)))
  expect([named(unreadable), named(unsweepable)]).toEqual([true, true])
})
