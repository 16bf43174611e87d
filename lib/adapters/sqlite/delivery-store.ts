import { turnOf } from '../../core/delivery-line.ts'
import { CountersignError } from '../../core/errors.ts'
import { DELIVERY_STATUSES, type Delivery, type DeliveryStore } from '../../ports/delivery-store.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

export interface DeliveryStoreDeps {
  /** A database of MAIN_SCHEMA, and its group commit. */
  db: Database
  groupCommit: GroupCommit
}

/** How many one transaction looks at or deletes: others wait for it. */
const BATCH = 200

const COLUMNS = [
  'id',
  'endpoint',
  'tenant',
  'approval_id',
  'event_id',
  'type',
  'version',
  'status',
  'attempts',
  'due_at',
  'owner',
  'receipt',
  'created_at',
  'ended_at',
  'log',
  'body',
] as const
const FIELDS = COLUMNS.map(
  (column) => `${column} AS ${column.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())}`,
).join(', ')
/** As it stands before it had to stand back. */
const IN_LINE = 'id, version, created_at AS createdAt, status, coalesce(held_from, due_at) AS dueAt, owner'

/** Deliveries as rows. `close` leaves the database open: it belongs to its opener. */
export function createDeliveryStore({ db, groupCommit }: DeliveryStoreDeps): DeliveryStore {
  const insert = db.prepare(
    `INSERT INTO deliveries (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})
     ON CONFLICT (id) DO NOTHING`,
  )
  const byId = db.prepare(`SELECT ${FIELDS} FROM deliveries WHERE id = ?`)
  const dueAt = db.prepare(
    `SELECT ${IN_LINE}, approval_id AS approvalId FROM deliveries
     WHERE status = 'waiting' AND endpoint = ? AND due_at <= ? ORDER BY due_at LIMIT ?`,
  )
  const lineOf = db.prepare(
    `SELECT ${IN_LINE} FROM deliveries
     WHERE approval_id = ? AND endpoint = ? AND (status = 'waiting' OR owner IS NOT NULL)`,
  )
  const hold = db.prepare('UPDATE deliveries SET held_from = coalesce(held_from, due_at), due_at = ? WHERE id = ?')
  const lease = db.prepare(
    'UPDATE deliveries SET owner = ?, due_at = ?, attempts = attempts + 1, held_from = NULL WHERE id = ?',
  )
  const leased = db.prepare(
    'SELECT status, ended_at AS endedAt, stop_at AS stopAt FROM deliveries WHERE id = ? AND owner = ? AND attempts = ?',
  )
  const finish = db.prepare(
    'UPDATE deliveries SET status = ?, log = ?, due_at = ?, receipt = ?, ended_at = ?, owner = NULL WHERE id = ?',
  )
  const release = db.prepare(
    `UPDATE deliveries SET due_at = held_from, held_from = NULL
     WHERE approval_id = ? AND endpoint = coalesce(?, endpoint) AND held_from IS NOT NULL AND status = 'waiting'`,
  )
  const stopRetrying = db.prepare(
    `UPDATE deliveries SET stop_at = ? WHERE approval_id = ? AND type = ? AND status = 'waiting' AND stop_at IS NULL`,
  )
  const stop = db.prepare(
    `UPDATE deliveries SET status = 'stopped', ended_at = ?
     WHERE approval_id = ? AND type = ? AND status = 'waiting' AND attempts > 0`,
  )
  const stopEndpoint = db.prepare(
    `UPDATE deliveries SET status = 'stopped', ended_at = ? WHERE rowid IN (
       SELECT rowid FROM deliveries WHERE endpoint = ? AND status = 'waiting' LIMIT ${BATCH})`,
  )
  // From one endpoint to the next by the index, so that it costs no more when many wait.
  const waiting = db.prepare(
    `WITH RECURSIVE waiting (endpoint) AS (
       SELECT min(endpoint) FROM deliveries WHERE status = 'waiting'
       UNION ALL
       SELECT (SELECT min(endpoint) FROM deliveries WHERE status = 'waiting' AND endpoint > waiting.endpoint)
       FROM waiting WHERE waiting.endpoint IS NOT NULL
     )
     SELECT endpoint,
       (SELECT min(due_at) FROM deliveries WHERE status = 'waiting' AND endpoint = waiting.endpoint) AS firstAt,
       (SELECT min(due_at) FROM deliveries WHERE status = 'waiting' AND endpoint = waiting.endpoint AND due_at > ?) AS nextAt
     FROM waiting WHERE endpoint IS NOT NULL`,
  )
  const receipt = db.prepare(
    `SELECT receipt FROM deliveries WHERE approval_id = ? AND endpoint = ? AND receipt IS NOT NULL
     ORDER BY version DESC LIMIT 1`,
  )
  const outcome = db.prepare(`SELECT 1 FROM deliveries WHERE approval_id = ? AND type = 'approval.decided' LIMIT 1`)
  const page = db.prepare(
    `SELECT ${FIELDS} FROM deliveries
     WHERE endpoint = ? AND status = ? AND (created_at, id) < (?, ?) AND tenant = ?
     ORDER BY created_at DESC, id DESC LIMIT ?`,
  )
  const replay = db.prepare(
    `UPDATE deliveries SET status = 'waiting', attempts = 0, due_at = ?, owner = NULL, held_from = NULL, ended_at = NULL
     WHERE id = ? AND status <> 'waiting'`,
  )
  const dead = db.prepare(
    `SELECT id FROM deliveries WHERE endpoint = ? AND status = 'dead' AND created_at >= ? AND tenant = ? LIMIT ${BATCH}`,
  )
  const prune = db.prepare(
    `DELETE FROM deliveries WHERE rowid IN (
       SELECT rowid FROM deliveries WHERE ended_at < ? ORDER BY ended_at LIMIT ${BATCH})`,
  )
  const reachable = db.prepare('SELECT 1 FROM deliveries LIMIT 1')
  let closed = false

  const read = <T>(query: () => T): Promise<T> => available(async () => query())
  const write = <T>(operation: () => T): Promise<T> => available(() => groupCommit.run(operation))

  async function available<T>(call: () => Promise<T>): Promise<T> {
    if (closed) throw new CountersignError('decider_unavailable', 'The delivery store is closed.')
    try {
      return await call()
    } catch (error) {
      throw new CountersignError('decider_unavailable', 'The delivery store cannot be used.', { cause: error })
    }
  }

  /** Looks at those that are due and takes what it may; what has to stand back is not due any more. */
  function claimSome(request: Parameters<DeliveryStore['claim']>[0]) {
    const { endpoint, owner, now, leaseMs, limit } = request
    const taken: Delivery[] = []
    const take = (id: string) => {
      lease.run(owner, now + leaseMs, id)
      taken.push(deliveryFrom(byId.get(id)))
    }
    // A few more than are wanted: most are free to go.
    const looked = Math.min(2 * limit + 8, BATCH)
    const candidates: Candidate[] = dueAt.all(endpoint, now, looked)
    for (const candidate of candidates) {
      if (taken.length >= limit) return { taken, isMore: false }
      const line: InLineRow[] = candidate.approvalId === null ? [candidate] : lineOf.all(candidate.approvalId, endpoint)
      const turn = turnOf(candidate.id, line, now)
      if (turn.type === 'taken') continue
      if (turn.type === 'now') take(turn.delivery.id)
      if (turn.type === 'later') hold.run(turn.at, candidate.id)
      else if (turn.delivery.id !== candidate.id) hold.run(now + leaseMs, candidate.id)
    }
    return { taken, isMore: candidates.length === looked }
  }

  /** Over and over in small transactions, until there is less than a full one. */
  async function inBatches(some: () => number): Promise<number> {
    let done = 0
    for (;;) {
      const now = await write(some)
      done += now
      if (now < BATCH) return done
    }
  }

  return {
    insert: (deliveries) => {
      const rows = deliveries.map(rowOf)
      return write(() => rows.reduce((count, row) => count + Number(insert.run(...row).changes), 0))
    },
    get: (id) =>
      read(() => {
        const row: DeliveryRow | undefined = byId.get(id)
        return row && deliveryFrom(row)
      }),
    async claim(request) {
      const claimed: Delivery[] = []
      while (claimed.length < request.limit) {
        const limit = request.limit - claimed.length
        const { taken, isMore } = await write(() => claimSome({ ...request, limit }))
        claimed.push(...taken)
        if (!isMore) break
      }
      return claimed
    },
    finish: (owner, next) => {
      const { id, endpoint, approvalId, attempts, dueAt, receipt } = next
      const log = JSON.stringify(next.log)
      return write(() => {
        const row: LeasedRow | undefined = leased.get(id, owner, attempts)
        if (!row) return false
        const { status, endedAt } = endOf(row, next)
        finish.run(status, log, dueAt, receipt, endedAt, id)
        if (approvalId !== null) release.run(approvalId, endpoint)
        return true
      })
    },
    stop: ({ approvalId, types, at }) =>
      write(() => {
        for (const type of types) {
          stopRetrying.run(at, approvalId, type)
          stop.run(at, approvalId, type)
        }
        release.run(approvalId, null)
      }),
    stopEndpoint: ({ endpoint, at }) => inBatches(() => Number(stopEndpoint.run(at, endpoint).changes)),
    due: (now) =>
      read(() => {
        const rows: { endpoint: string; firstAt: number; nextAt: number | null }[] = waiting.all(now)
        const next = rows.flatMap(({ nextAt }) => (nextAt === null ? [] : [nextAt]))
        return {
          endpoints: rows.filter(({ firstAt }) => firstAt <= now).map(({ endpoint }) => endpoint),
          nextAt: next.length === 0 ? undefined : Math.min(...next),
        }
      }),
    receipt: (endpoint, approvalId) => read(() => receipt.get(approvalId, endpoint)?.receipt ?? null),
    withOutcome: (approvalIds) => read(() => new Set(approvalIds.filter((id) => outcome.get(id) !== undefined))),
    list: ({ tenant, endpoint, status, after, limit }) =>
      read(() => {
        const { createdAt, id } = after ?? { createdAt: Number.MAX_SAFE_INTEGER, id: '' }
        // Each status is read in the order of its index, which a query over several would have to sort.
        return (status ? [status] : DELIVERY_STATUSES)
          .flatMap((each): DeliveryRow[] => page.all(endpoint, each, createdAt, id, tenant, limit))
          .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
          .slice(0, limit)
          .map(deliveryFrom)
      }),
    replay: (id, at) => write(() => replay.run(at, id).changes > 0),
    replayDead: ({ tenant, endpoint, since, at }) =>
      inBatches(() => {
        const found: { id: string }[] = dead.all(endpoint, since, tenant)
        for (const { id } of found) replay.run(at, id)
        return found.length
      }),
    prune: (endedBefore) => inBatches(() => Number(prune.run(endedBefore).changes)),
    ping: async () => {
      await read(() => reachable.get())
    },
    close: async () => {
      closed = true
      await groupCommit.settled()
    },
  }
}

type DeliveryRow = Omit<Delivery, 'log'> & { log: string }
type InLineRow = Pick<Delivery, 'id' | 'version' | 'createdAt' | 'status' | 'dueAt' | 'owner'>
type LeasedRow = Pick<Delivery, 'status' | 'endedAt'> & { stopAt: number | null }
type Candidate = InLineRow & Pick<Delivery, 'approvalId'>

const deliveryFrom = (row: DeliveryRow): Delivery => ({ ...row, log: JSON.parse(row.log) })

function endOf({ status, endedAt, stopAt }: LeasedRow, next: Delivery): Pick<Delivery, 'status' | 'endedAt'> {
  if (status === 'stopped' && next.status !== 'delivered') return { status, endedAt }
  if (stopAt !== null && next.status === 'waiting') return { status: 'stopped', endedAt: next.log.at(-1)?.at ?? stopAt }
  return next
}

function rowOf(delivery: Delivery): (string | number | null)[] {
  const row: Record<(typeof COLUMNS)[number], string | number | null> = {
    id: delivery.id,
    endpoint: delivery.endpoint,
    tenant: delivery.tenant,
    approval_id: delivery.approvalId,
    event_id: delivery.eventId,
    type: delivery.type,
    version: delivery.version,
    status: delivery.status,
    attempts: delivery.attempts,
    due_at: delivery.dueAt,
    owner: delivery.owner,
    receipt: delivery.receipt,
    created_at: delivery.createdAt,
    ended_at: delivery.endedAt,
    log: JSON.stringify(delivery.log),
    body: delivery.body,
  }
  return COLUMNS.map((column) => row[column])
}
