import { afterEach, describe, expect, it } from 'vitest'
import { type Approval, CLAIM_TIMEOUT_MS, dueAt, type Status } from '../../lib/core/approval.ts'
import { auditApproval } from '../../lib/core/audit.ts'
import type { ApprovalStore, ListQuery } from '../../lib/ports/approval-store.ts'
import { anApproval, approved, claimed, denied, REQUESTED_AT, settled, stepped } from '../support/approvals.ts'

/** A store over storage of its own, empty at first. */
export interface ApprovalStoreHarness {
  store: ApprovalStore
  /** Another instance over the same storage, after the one before was closed. */
  reopen(): Promise<ApprovalStore>
  /** Closes what is open and removes the storage. */
  cleanUp(): Promise<void>
}

const MINUTE = 60_000

/** What every approval store must do. */
export function runApprovalStoreConformance(name: string, makeHarness: () => Promise<ApprovalStoreHarness>): void {
  describe(`approval store: ${name}`, () => {
    const harnesses: ApprovalStoreHarness[] = []
    const start = async (): Promise<ApprovalStoreHarness> => {
      const harness = await makeHarness()
      harnesses.push(harness)
      return harness
    }
    const startWith = async (...approvals: Approval[]): Promise<ApprovalStore> => {
      const { store } = await start()
      await Promise.all(approvals.map((approval) => store.insert(approval)))
      return store
    }
    afterEach(async () => {
      for (const harness of harnesses.splice(0)) await harness.cleanUp()
    })

    describe('one record', () => {
      it('comes back as it was stored, and its history verifies', async () => {
        const record = settled(claimed(approved(anApproval({ holder: 'gate:1:1', approvers: ['alice'] }))))
        const store = await startWith(record)
        const read = await store.get(record.id)
        expect(read).toEqual(record)
        expect(auditApproval(read!)).toEqual([])
      })

      it('is unknown until it is inserted', async () => {
        const store = await startWith()
        await expect(store.get(anApproval().id)).resolves.toBeUndefined()
        await expect(store.replace(1, approved(anApproval()))).resolves.toBe(false)
      })

      it('is inserted once: the first stays', async () => {
        const first = anApproval()
        const store = await startWith(first)
        await expect(store.insert({ ...first, risk: 'low' })).resolves.toBe(false)
        await expect(store.get(first.id)).resolves.toEqual(first)
      })

      it('is inserted once by many at the same time', async () => {
        const store = await startWith()
        const record = anApproval()
        const inserted = await Promise.all(Array.from({ length: 20 }, () => store.insert(record)))
        expect(inserted.filter(Boolean)).toHaveLength(1)
      })

      it('survives a restart, with all that was written to it', async () => {
        const harness = await start()
        const record = anApproval()
        const next = approved(record)
        await harness.store.insert(record)
        await harness.store.replace(record.version, next)
        const store = await harness.reopen()
        await expect(store.get(record.id)).resolves.toEqual(next)
      })

      it('is replaced only from the version that was read', async () => {
        const record = anApproval()
        const store = await startWith(record)
        const next = approved(record)
        await expect(store.replace(2, next)).resolves.toBe(false)
        await expect(store.get(record.id)).resolves.toEqual(record)
        await expect(store.replace(1, next)).resolves.toBe(true)
        await expect(store.replace(1, denied(record))).resolves.toBe(false)
        await expect(store.get(record.id)).resolves.toEqual(next)
      })

      it('is replaced by exactly one of fifty that read the same version', async () => {
        const record = anApproval()
        const store = await startWith(record)
        const candidates = Array.from({ length: 50 }, (_, index) =>
          index % 2 === 0 ? approved(record, REQUESTED_AT + index) : denied(record, REQUESTED_AT + index),
        )
        const won = await Promise.all(candidates.map((next) => store.replace(record.version, next)))
        expect(won.filter(Boolean)).toHaveLength(1)
        await expect(store.get(record.id)).resolves.toEqual(candidates[won.indexOf(true)])
      })
    })

    describe('list', () => {
      const ids = (approvals: Approval[]): string[] => approvals.map(({ id }) => id)
      const all: ListQuery = { tenant: 'default', limit: 100 }

      it('is newest first, and by id where two are as old', async () => {
        const [older, newer] = [anApproval(), anApproval({ requestedAt: REQUESTED_AT + 1 })]
        const twins = [anApproval(), anApproval()]
        const store = await startWith(older, newer, ...twins)
        const sameAge = [older, ...twins].sort((a, b) => (a.id < b.id ? 1 : -1))
        expect(ids(await store.list(all))).toEqual(ids([newer, ...sameAge]))
      })

      it('never shows one tenant what is of another', async () => {
        const mine = anApproval({ tenant: 'a' })
        const store = await startWith(mine, anApproval({ tenant: 'b' }))
        expect(ids(await store.list({ ...all, tenant: 'a' }))).toEqual([mine.id])
        expect(await store.list({ ...all, tenant: 'c' })).toEqual([])
      })

      it('filters by one status, by several, and by none', async () => {
        const records = {
          pending: anApproval({ requestedAt: REQUESTED_AT + 4 }),
          approved: approved(anApproval({ requestedAt: REQUESTED_AT + 3 })),
          claimed: claimed(approved(anApproval({ requestedAt: REQUESTED_AT + 2 }))),
          denied: denied(anApproval({ requestedAt: REQUESTED_AT + 1 })),
        }
        const store = await startWith(...Object.values(records))
        const listed = async (...status: Status[]) => ids(await store.list({ ...all, status }))
        expect(await listed('pending')).toEqual([records.pending.id])
        expect(await listed('denied', 'approved')).toEqual([records.approved.id, records.denied.id])
        expect(await listed('settled')).toEqual([])
        expect(ids(await store.list(all))).toEqual(ids(Object.values(records)))
      })

      it('follows a record to its new status', async () => {
        const record = anApproval()
        const store = await startWith(record)
        await store.replace(record.version, approved(record))
        expect(await store.list({ ...all, status: ['pending'] })).toEqual([])
        expect(ids(await store.list({ ...all, status: ['approved'] }))).toEqual([record.id])
      })

      it('filters by agent name or id, tool, and risk', async () => {
        const base = anApproval()
        const agent = { id: 'key_ops', name: 'ops', session: null, user: null }
        const ops = anApproval({ agent })
        const tool = anApproval({ action: { ...base.action, tool: 'db.drop' } })
        const risky = anApproval({ risk: 'critical' })
        const store = await startWith(base, ops, tool, risky)
        expect(ids(await store.list({ ...all, agent: 'ops' }))).toEqual([ops.id])
        expect(ids(await store.list({ ...all, agent: 'key_ops' }))).toEqual([ops.id])
        expect(ids(await store.list({ ...all, tool: 'db.drop' }))).toEqual([tool.id])
        expect(ids(await store.list({ ...all, risk: 'critical' }))).toEqual([risky.id])
        expect(await store.list({ ...all, risk: 'critical', agent: 'ops' })).toEqual([])
      })

      it('finds a piece of the summary whatever its case, and takes it literally', async () => {
        const about = (summary: string) => anApproval({ action: { ...anApproval().action, summary } })
        const percent = about('Refund 50% of ORDER_1')
        const plain = about('Refund 500 of order 1 (Ünïcode)')
        const store = await startWith(percent, plain)
        const found = async (q: string) => ids(await store.list({ ...all, q })).sort()
        expect(await found('refund')).toEqual(ids([percent, plain]).sort())
        expect(await found('50%')).toEqual([percent.id])
        expect(await found('order_1')).toEqual([percent.id])
        expect(await found('ÜNÏ')).toEqual([plain.id])
        expect(await found('(ü')).toEqual([plain.id])
        expect(await found('.*')).toEqual([])
        expect(await found('\\')).toEqual([])
      })

      it('pages without a gap or a repeat while records come and change', async () => {
        const records = Array.from({ length: 25 }, (_, index) =>
          anApproval({ requestedAt: REQUESTED_AT + Math.floor(index / 3) }),
        )
        const store = await startWith(...records)
        const seen: string[] = []
        let cursor: ListQuery['after']
        for (;;) {
          const page = await store.list({ ...all, limit: 4, ...(cursor ? { after: cursor } : {}) })
          seen.push(...ids(page))
          await store.insert(anApproval({ requestedAt: REQUESTED_AT + 1_000 }))
          const changed = records[seen.length - 1]
          if (changed) await store.replace(1, approved(changed))
          const last = page.at(-1)
          if (!last) break
          cursor = { requestedAt: last.requestedAt, id: last.id }
        }
        const newestFirst = [...records].sort((a, b) => b.requestedAt - a.requestedAt || (a.id < b.id ? 1 : -1))
        expect(seen).toEqual(ids(newestFirst))
      })

      it('counts the pending records of each tenant', async () => {
        const store = await startWith(
          anApproval({ tenant: 'a' }),
          anApproval({ tenant: 'a' }),
          anApproval({ tenant: 'b' }),
          approved(anApproval({ tenant: 'c' })),
        )
        expect(await store.countPending()).toEqual(
          new Map([
            ['a', 2],
            ['b', 1],
          ]),
        )
      })
    })

    describe('the same call', () => {
      it('finds every record that may answer it, oldest first', async () => {
        const { action } = anApproval()
        const at = (age: number) => anApproval({ action, requestedAt: REQUESTED_AT + age })
        const cancel = { type: 'cancel', by: { id: 'a', name: 'a', type: 'agent', via: 'http' }, reason: null } as const
        const may = [claimed(approved(at(1))), anApproval({ action, requestedAt: REQUESTED_AT + 2 }), approved(at(3))]
        const standing = denied(at(4), REQUESTED_AT + MINUTE)
        const store = await startWith(
          standing,
          ...[...may].reverse(),
          settled(claimed(approved(at(5)))),
          stepped(at(6), cancel),
          stepped(at(7), { type: 'timeout' }, REQUESTED_AT + 10 * MINUTE),
          denied(at(8), REQUESTED_AT + MINUTE - 1),
          anApproval(),
        )
        const found = await store.findByFingerprint(action.fingerprint!, REQUESTED_AT + MINUTE)
        expect(found).toEqual([...may, standing])
      })

      it('is told apart from others that are looked for at the same time, each with its own memory of denials', async () => {
        const { action } = anApproval()
        const refused = denied(anApproval({ action }), REQUESTED_AT + MINUTE)
        const other = anApproval()
        const store = await startWith(refused, other)
        const found = await Promise.all([
          store.findByFingerprint(action.fingerprint!, REQUESTED_AT + MINUTE),
          store.findByFingerprint(action.fingerprint!, REQUESTED_AT + MINUTE + 1),
          store.findByFingerprint(other.action.fingerprint!, REQUESTED_AT),
          store.findByFingerprint('0'.repeat(64), REQUESTED_AT),
        ])
        expect(found).toEqual([[refused], [], [other], []])
      })
    })

    describe('what is due', () => {
      it('comes the longest overdue first, as many as were asked for', async () => {
        const late = anApproval({ timeoutMs: 3_000 })
        const later = approved(anApproval({ timeoutMs: 2_000 }), REQUESTED_AT)
        const latest = anApproval({ timeoutMs: 1_000 })
        const store = await startWith(late, later, latest, anApproval({ timeoutMs: 3_001 }))
        expect(await store.findDue(REQUESTED_AT + 3_000, 10)).toEqual([latest, later, late])
        expect(await store.findDue(REQUESTED_AT + 3_000, 2)).toEqual([latest, later])
        expect(await store.findDue(REQUESTED_AT + 999, 10)).toEqual([])
        expect(await store.nextDueAt()).toBe(REQUESTED_AT + 1_000)
      })

      it('is a warning and a step of an escalation, each at its time', async () => {
        const terms = {
          warnAfterMs: 1_000,
          escalation: [{ rule: 'big-refund', afterMs: 2_000, approvers: ['group:managers'], channels: ['oncall'] }],
        }
        const asked = anApproval({ ...terms, approvers: ['alice'] })
        const store = await startWith(asked)
        expect(await store.nextDueAt()).toBe(REQUESTED_AT + 1_000)
        const warned = stepped(asked, { type: 'timeout' }, REQUESTED_AT + 1_000)
        await store.replace(asked.version, warned)
        expect(await store.findDue(REQUESTED_AT + 1_999, 10)).toEqual([])
        expect(await store.findDue(REQUESTED_AT + 2_000, 10)).toEqual([warned])
        const escalated = stepped(warned, { type: 'timeout' }, REQUESTED_AT + 2_000)
        await store.replace(warned.version, escalated)
        expect(await store.get(asked.id)).toEqual(escalated)
        expect(await store.nextDueAt()).toBe(asked.expiresAt)
      })

      it('has a claim that nobody settled, and no record that came to its end', async () => {
        const open = claimed(approved(anApproval()), REQUESTED_AT + 2_000)
        const store = await startWith(open, settled(claimed(approved(anApproval()))), denied(anApproval()))
        const dueThen = REQUESTED_AT + 2_000 + CLAIM_TIMEOUT_MS
        expect(dueAt(open)).toBe(dueThen)
        expect(await store.nextDueAt()).toBe(dueThen)
        expect(await store.findDue(dueThen, 10)).toEqual([open])
        await store.replace(open.version, settled(open))
        expect(await store.nextDueAt()).toBeUndefined()
        expect(await store.findDue(dueThen, 10)).toEqual([])
      })
    })

    describe('the outbox', () => {
      it('is found, the longest waiting first, until it is cleared', async () => {
        const first = approved(anApproval(), REQUESTED_AT + 1)
        const second = denied(anApproval(), REQUESTED_AT + 2)
        const store = await startWith(second, first, anApproval())
        expect(await store.findOutbox(10)).toEqual([first, second])
        expect(await store.findOutbox(1)).toEqual([first])
        await store.clearOutbox(
          first.id,
          first.outbox.map(({ eventId }) => eventId),
        )
        expect(await store.findOutbox(10)).toEqual([second])
        expect(await store.get(first.id)).toEqual({ ...first, outbox: [] })
      })

      it('keeps what was not named, whatever the version', async () => {
        const record = claimed(approved(anApproval()))
        const done = settled(record)
        const [published, owed] = done.outbox
        const store = await startWith(record)
        await store.replace(record.version, done)
        await store.clearOutbox(record.id, [published!.eventId, 'unknown'])
        expect(await store.get(record.id)).toEqual({ ...done, outbox: [owed] })
        expect(await store.findOutbox(10)).toEqual([{ ...done, outbox: [owed] }])
        await store.clearOutbox(anApproval().id, [owed!.eventId])
      })

      it('loses no event when it is cleared while the record is replaced', async () => {
        const { store } = await start()
        const records = Array.from({ length: 30 }, () => claimed(approved(anApproval())))
        await Promise.all(records.map((record) => store.insert(record)))
        const cleared = records.map((record) =>
          store.clearOutbox(
            record.id,
            record.outbox.map(({ eventId }) => eventId),
          ),
        )
        const replaced = records.map((record) => store.replace(record.version, settled(record)))
        await Promise.all(cleared)
        expect(await Promise.all(replaced)).toEqual(records.map(() => true))
        for (const record of records) {
          const events = (await store.get(record.id))!.outbox.map(({ eventId }) => eventId)
          expect(events).toContain(settled(record).outbox.at(-1)!.eventId)
        }
      })

      it('survives a restart', async () => {
        const harness = await start()
        const record = approved(anApproval())
        await harness.store.insert(record)
        const store = await harness.reopen()
        expect(await store.findOutbox(10)).toEqual([record])
      })
    })

    it('scans every record of every tenant once, oldest first', async () => {
      const records = Array.from({ length: 450 }, (_, index) =>
        anApproval({ tenant: index % 2 === 0 ? 'a' : 'b', requestedAt: REQUESTED_AT + 1_000 - Math.floor(index / 2) }),
      )
      const store = await startWith(...records)
      const seen: Approval[] = []
      for await (const record of store.scan()) seen.push(record)
      expect(new Set(seen.map(({ id }) => id)).size).toBe(records.length)
      const ages = seen.map(({ requestedAt }) => requestedAt)
      expect(ages).toEqual([...ages].sort((a, b) => a - b))
      expect(seen).toHaveLength(records.length)
    })

    it('prunes only what came to its end before, and owes nothing', async () => {
      const free = (record: Approval): Approval => ({ ...record, outbox: [] })
      const old = [free(denied(anApproval())), free(settled(claimed(approved(anApproval()))))]
      const kept = [
        anApproval(),
        free(approved(anApproval())),
        free(claimed(approved(anApproval()))),
        free(denied(anApproval(), REQUESTED_AT + MINUTE)),
        denied(anApproval()),
      ]
      const store = await startWith(...old, ...kept)
      expect(await store.prune(REQUESTED_AT + MINUTE)).toBe(2)
      expect(await store.prune(REQUESTED_AT + MINUTE)).toBe(0)
      for (const { id } of old) expect(await store.get(id)).toBeUndefined()
      for (const record of kept) expect(await store.get(record.id)).toEqual(record)
    })

    it('answers a ping until it is closed, and refuses everything after', async () => {
      const { store } = await start()
      await expect(store.ping()).resolves.toBeUndefined()
      await store.close()
      const away = { code: 'decider_unavailable' }
      await expect(store.ping()).rejects.toMatchObject(away)
      await expect(store.get('apr_x')).rejects.toMatchObject(away)
      await expect(store.insert(anApproval())).rejects.toMatchObject(away)
    })
  })
}
