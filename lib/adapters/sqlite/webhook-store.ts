import { CountersignError } from '../../core/errors.ts'
import { type EndpointHealth, FAILING_PAUSE_MS, type Webhook, type WebhookStore } from '../../ports/webhook-store.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

const HEALTH = `endpoint, tenant, failing_since AS failingSince, disabled_at AS disabledAt,
  disabled_reason AS disabledReason, last_attempt_at AS lastAttemptAt, last_success_at AS lastSuccessAt`

/** Endpoints and their health in a database of MAIN_SCHEMA. `close` leaves the database open: it belongs to its opener. */
export function createWebhookStore({ db, groupCommit }: { db: Database; groupCommit: GroupCommit }): WebhookStore {
  const insert = db.prepare(
    'INSERT INTO webhooks (id, version, created_at, doc) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
  )
  const byId = db.prepare('SELECT doc FROM webhooks WHERE id = ?')
  const replace = db.prepare('UPDATE webhooks SET version = ?, doc = ? WHERE id = ? AND version = ?')
  const remove = db.prepare('DELETE FROM webhooks WHERE id = ?')
  const removeHealth = db.prepare('DELETE FROM endpoint_health WHERE endpoint = ?')
  const all = db.prepare('SELECT doc FROM webhooks ORDER BY created_at, id')
  const health = db.prepare(`SELECT ${HEALTH} FROM endpoint_health ORDER BY endpoint`)
  const note = db.prepare(
    `INSERT INTO endpoint_health (endpoint, tenant, failing_since, last_attempt_at, last_success_at)
     VALUES (:endpoint, :tenant, iif(:succeeded, NULL, :at), :at, iif(:succeeded, :at, NULL))
     ON CONFLICT (endpoint) DO UPDATE SET
       failing_since = CASE
         WHEN :at < last_attempt_at THEN failing_since
         WHEN :succeeded THEN NULL
         WHEN :at - last_attempt_at > ${FAILING_PAUSE_MS} THEN :at
         ELSE coalesce(failing_since, :at) END,
       last_attempt_at = max(coalesce(last_attempt_at, :at), :at),
       last_success_at = iif(:succeeded, max(coalesce(last_success_at, :at), :at), last_success_at)
     RETURNING ${HEALTH}`,
  )
  const disable = db.prepare(
    `INSERT INTO endpoint_health (endpoint, tenant, disabled_at, disabled_reason) VALUES (?, ?, ?, ?)
     ON CONFLICT (endpoint) DO UPDATE SET disabled_at = excluded.disabled_at, disabled_reason = excluded.disabled_reason
     WHERE disabled_at IS NULL`,
  )
  const enable = db.prepare(
    `UPDATE endpoint_health SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL WHERE endpoint = ?`,
  )
  let closed = false

  const read = <T>(query: () => T): Promise<T> => available(async () => query())
  const write = <T>(operation: () => T): Promise<T> => available(() => groupCommit.run(operation))

  async function available<T>(call: () => Promise<T>): Promise<T> {
    if (closed) throw new CountersignError('decider_unavailable', 'The webhook store is closed.')
    try {
      return await call()
    } catch (error) {
      throw new CountersignError('decider_unavailable', 'The webhook store cannot be used.', { cause: error })
    }
  }

  return {
    insert: (webhook) => {
      const doc = JSON.stringify(webhook)
      return write(() => insert.run(webhook.id, webhook.version, webhook.createdAt, doc).changes > 0)
    },
    get: (id) =>
      read(() => {
        const row: WebhookRow | undefined = byId.get(id)
        return row && webhookFrom(row)
      }),
    replace: (expectedVersion, next) => {
      const doc = JSON.stringify(next)
      return write(() => replace.run(next.version, doc, next.id, expectedVersion).changes > 0)
    },
    remove: (id) =>
      write(() => {
        const isThere = remove.run(id).changes > 0
        if (isThere) removeHealth.run(id)
        return isThere
      }),
    list: () => read(() => all.all().map(webhookFrom)),
    health: () => read(() => health.all().map(healthFrom)),
    noted: ({ endpoint, tenant, at, succeeded }) =>
      write(() => healthFrom(note.get({ endpoint, tenant, at, succeeded: succeeded ? 1 : 0 }))),
    disable: ({ endpoint, tenant, at, reason }) => write(() => disable.run(endpoint, tenant, at, reason).changes > 0),
    enable: (endpoint) =>
      write(() => {
        enable.run(endpoint)
      }),
    close: async () => {
      closed = true
      await groupCommit.settled()
    },
  }
}

interface WebhookRow {
  doc: string
}

type HealthRow = Omit<EndpointHealth, 'disabled'> & {
  disabledAt: number | null
  disabledReason: NonNullable<EndpointHealth['disabled']>['reason'] | null
}

const webhookFrom = ({ doc }: WebhookRow): Webhook => JSON.parse(doc)

const healthFrom = ({ disabledAt, disabledReason, ...health }: HealthRow): EndpointHealth => ({
  ...health,
  disabled: disabledAt === null || disabledReason === null ? null : { at: disabledAt, reason: disabledReason },
})
