import { type Approval, dueAt, endedAt, STATUSES } from '../../core/approval.ts'
import { CountersignError } from '../../core/errors.ts'
import type { DomainEvent } from '../../core/events.ts'
import type { ApprovalStore, ListQuery } from '../../ports/approval-store.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

export interface ApprovalStoreDeps {
  /** A database of MAIN_SCHEMA, and its group commit. */
  db: Database
  groupCommit: GroupCommit
  /** Hears of records that cannot be read. */
  log?: { error(fields: object, text: string): void }
}

const SCAN_PAGE = 200
const PRUNE_BATCH = 500
/** How many unreadable records the log hears of, each once. */
const TOLD = 1_000
/** How many of them a line names. */
const NAMED = 10

const CHANGING = ['version', 'status', 'due_at', 'ended_at', 'outbox_at', 'outbox', 'doc'] as const
/** Said once, by the request. To set them again would rewrite their indexes too. */
const LASTING = [
  'id',
  'tenant',
  'requested_at',
  'fingerprint',
  'agent_id',
  'agent_name',
  'tool',
  'risk',
  'summary',
] as const
const COLUMNS = [...CHANGING, ...LASTING]

/** Records as JSON, with a column for what is searched. `close` leaves the database open: it belongs to its opener. */
export function createApprovalStore({ db, groupCommit, log }: ApprovalStoreDeps): ApprovalStore {
  const insert = db.prepare(
    `INSERT INTO approvals (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})
     ON CONFLICT (id) DO NOTHING`,
  )
  const replace = db.prepare(
    `UPDATE approvals SET ${CHANGING.map((column) => `${column} = ?`).join(', ')} WHERE id = ? AND version = ?`,
  )
  const byId = db.prepare('SELECT doc, outbox FROM approvals WHERE id = ?')
  const countPending = db.prepare(
    "SELECT tenant, count(*) AS pending FROM approvals WHERE status = 'pending' GROUP BY tenant",
  )
  const byFingerprint = db.prepare(
    `SELECT doc, outbox FROM approvals
     WHERE fingerprint = ? AND status IN ('pending', 'approved', 'claimed', 'denied')
       AND (status <> 'denied' OR ended_at >= ?)
     ORDER BY requested_at, id`,
  )
  const due = db.prepare('SELECT id, doc, outbox FROM approvals WHERE due_at <= ? ORDER BY due_at LIMIT ? OFFSET ?')
  const nextDue = db.prepare('SELECT due_at AS dueAt FROM approvals WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1')
  const owing = db.prepare(
    'SELECT id, doc, outbox FROM approvals WHERE outbox_at IS NOT NULL ORDER BY outbox_at LIMIT ? OFFSET ?',
  )
  const outboxOf = db.prepare('SELECT outbox FROM approvals WHERE id = ?')
  const setOutbox = db.prepare('UPDATE approvals SET outbox = ?, outbox_at = ? WHERE id = ?')
  const page = db.prepare(
    `SELECT doc, outbox FROM approvals WHERE (requested_at, id) > (?, ?) ORDER BY requested_at, id LIMIT ?`,
  )
  const prune = db.prepare(
    `DELETE FROM approvals WHERE rowid IN (
       SELECT rowid FROM approvals WHERE ended_at < ? AND outbox_at IS NULL ORDER BY ended_at LIMIT ?)`,
  )
  const reachable = db.prepare('SELECT 1 FROM approvals LIMIT 1')
  const searches = new Map<string, ReturnType<Database['prepare']>>()
  const byRow = db.prepare('SELECT doc, outbox FROM approvals WHERE rowid = ?')
  let closed = false

  const read = <T>(query: () => T): Promise<T> => available(async () => query())
  const write = <T>(operation: () => T): Promise<T> => available(() => groupCommit.run(operation))

  async function available<T>(call: () => Promise<T>): Promise<T> {
    if (closed) throw new CountersignError('decider_unavailable', 'The approval store is closed.')
    try {
      return await call()
    } catch (error) {
      throw new CountersignError('decider_unavailable', 'The approval store cannot be used.', { cause: error })
    }
  }

  function list(query: ListQuery): Approval[] {
    const { sql, parameters } = searchFor(query)
    let search = searches.get(sql)
    if (!search) {
      search = db.prepare(sql)
      searches.set(sql, search)
    }
    // Each status is read in the order of its index, which a query over several would have to sort.
    const found: FoundRow[] = []
    for (const status of new Set(query.status ?? STATUSES)) found.push(...search.all(status, ...parameters))
    return found
      .sort(newestFirst)
      .slice(0, query.limit)
      .map(({ row }) => approvalFrom(byRow.get(row)))
  }

  const told = new Set<string>()
  /** The first ones that can be read: a row that was spoilt must not stop what is behind it. */
  function readable(limit: number, rowsOf: (limit: number, offset: number) => NamedRow[]): Approval[] {
    const found: Approval[] = []
    const unreadable: string[] = []
    let offset = 0
    for (let isMore = true; isMore && found.length < limit; ) {
      const wanted = limit - found.length
      const rows = rowsOf(wanted, offset)
      for (const row of rows) {
        const approval = readOrUndefined(row)
        if (approval) found.push(approval)
        else if (!told.has(row.id)) unreadable.push(row.id)
      }
      offset += rows.length
      isMore = rows.length === wanted
    }
    tellOf(unreadable.slice(0, TOLD - told.size))
    return found
  }

  function tellOf(unreadable: readonly string[]): void {
    for (const id of unreadable) told.add(id)
    if (unreadable.length > 0)
      log?.error(
        { count: unreadable.length, approvals: unreadable.slice(0, NAMED) },
        'stored approvals cannot be read; they are passed over',
      )
  }

  async function* scan(): AsyncIterable<Approval> {
    let requestedAt = Number.MIN_SAFE_INTEGER
    let id = ''
    for (;;) {
      const approvals = await read(() => page.all(requestedAt, id, SCAN_PAGE).map(approvalFrom))
      yield* approvals
      const last = approvals.at(-1)
      if (!last || approvals.length < SCAN_PAGE) return
      requestedAt = last.requestedAt
      id = last.id
    }
  }

  return {
    insert: (approval) => {
      const row = [...changingOf(approval), ...lastingOf(approval)]
      return write(() => insert.run(...row).changes === 1)
    },
    get: (id) =>
      read(() => {
        const row: ApprovalRow | undefined = byId.get(id)
        return row && approvalFrom(row)
      }),
    replace: (expectedVersion, next) => {
      const row = changingOf(next)
      return write(() => replace.run(...row, next.id, expectedVersion).changes === 1)
    },
    list: (query) => read(() => list(query)),
    countPending: () =>
      read(() => new Map(countPending.all().map((row): [string, number] => [row.tenant, row.pending]))),
    findByFingerprint: (fingerprint, deniedSince) =>
      read(() => byFingerprint.all(fingerprint, deniedSince).map(approvalFrom)),
    findDue: (now, limit) => read(() => readable(limit, (...page) => due.all(now, ...page))),
    nextDueAt: () => read(() => nextDue.get()?.dueAt),
    findOutbox: (limit) => read(() => readable(limit, (...page) => owing.all(...page))),
    clearOutbox: (id, eventIds) => {
      const published = new Set(eventIds)
      return write(() => {
        const row: Pick<ApprovalRow, 'outbox'> | undefined = outboxOf.get(id)
        if (!row) return
        const events: DomainEvent[] = JSON.parse(row.outbox)
        const left = events.filter(({ eventId }) => !published.has(eventId))
        if (left.length < events.length) setOutbox.run(JSON.stringify(left), left[0]?.at ?? null, id)
      })
    },
    scan,
    prune: async (endedBefore) => {
      let pruned = 0
      for (;;) {
        const deleted = await write(() => Number(prune.run(endedBefore, PRUNE_BATCH).changes))
        pruned += deleted
        if (deleted < PRUNE_BATCH) return pruned
      }
    },
    ping: async () => {
      await read(() => reachable.get())
    },
    close: async () => {
      closed = true
      await groupCommit.settled()
    },
  }
}

interface ApprovalRow {
  doc: string
  outbox: string
}

interface NamedRow extends ApprovalRow {
  id: string
}

interface FoundRow {
  row: number
  requestedAt: number
  id: string
}

type Row<C extends string> = Record<C, string | number | null>

/** The outbox stands apart from the document, so that clearing it leaves both document and version as they are. */
function changingOf(approval: Approval): (string | number | null)[] {
  const { outbox, ...doc } = approval
  const row: Row<(typeof CHANGING)[number]> = {
    version: approval.version,
    status: approval.status,
    due_at: dueAt(approval),
    ended_at: endedAt(approval),
    outbox_at: outbox[0]?.at ?? null,
    outbox: JSON.stringify(outbox),
    doc: JSON.stringify(doc),
  }
  return CHANGING.map((column) => row[column])
}

function lastingOf({ id, tenant, requestedAt, action, agent, risk }: Approval): (string | number | null)[] {
  const row: Row<(typeof LASTING)[number]> = {
    id,
    tenant,
    requested_at: requestedAt,
    fingerprint: action.fingerprint,
    agent_id: agent.id,
    agent_name: agent.name,
    tool: action.tool,
    risk,
    summary: action.summary.toLowerCase(),
  }
  return LASTING.map((column) => row[column])
}

const approvalFrom = ({ doc, outbox }: ApprovalRow): Approval => ({ ...JSON.parse(doc), outbox: JSON.parse(outbox) })

function readOrUndefined(row: NamedRow): Approval | undefined {
  try {
    const approval = approvalFrom(row)
    return approval.id === row.id && Array.isArray(approval.outbox) ? approval : undefined
  } catch {
    return undefined
  }
}

const newestFirst = (a: FoundRow, b: FoundRow): number =>
  b.requestedAt - a.requestedAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

/** The search in one status, which is the first parameter. */
function searchFor({ tenant, agent, tool, risk, q, after, limit }: ListQuery) {
  const conditions = ['status = ?', 'tenant = ?']
  const parameters: (string | number)[] = [tenant]
  const demand = (condition: string, ...values: (string | number)[]) => {
    conditions.push(condition)
    parameters.push(...values)
  }
  if (agent !== undefined) demand('(agent_id = ? OR agent_name = ?)', agent, agent)
  if (tool !== undefined) demand('tool = ?', tool)
  if (risk !== undefined) demand('risk = ?', risk)
  // Not LIKE: a piece of text has no wildcards that would need escaping.
  if (q !== undefined) demand('instr(summary, ?) > 0', q.toLowerCase())
  if (after) demand('(requested_at, id) < (?, ?)', after.requestedAt, after.id)
  const sql = `SELECT rowid AS row, requested_at AS requestedAt, id FROM approvals
    WHERE ${conditions.join(' AND ')} ORDER BY requested_at DESC, id DESC LIMIT ?`
  return { sql, parameters: [...parameters, limit] }
}
