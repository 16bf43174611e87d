import { join } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'
import Fastify from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * The floor: what a held call costs at the least over Fastify and SQLite. The same hops and durable writes as a cycle
 * of Countersign, of records that say what an approver must see, and nothing else: no policy, no identity, no history,
 * no redaction, no checks. It shares no code with the product.
 */
const [dataDir = '.'] = process.argv.slice(2)

const db = new DatabaseSync(join(dataDir, 'floor.db'))
db.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA cache_size = -32768;
  CREATE TABLE log (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL) STRICT;
  CREATE TABLE records (id TEXT PRIMARY KEY, version INTEGER NOT NULL, doc TEXT NOT NULL, outbox TEXT) STRICT;
  CREATE INDEX records_outbox ON records (id) WHERE outbox IS NOT NULL;
`)
const begin = db.prepare('BEGIN IMMEDIATE')
const commit = db.prepare('COMMIT')
const append = db.prepare('INSERT INTO log (topic, key, value) VALUES (?, ?, ?)')
const insert = db.prepare('INSERT INTO records (id, version, doc) VALUES (?, 1, ?)')
const read = db.prepare('SELECT version, doc FROM records WHERE id = ?')
const replace = db.prepare('UPDATE records SET version = version + 1, doc = ?, outbox = ? WHERE id = ? AND version = ?')
const clearOutbox = db.prepare('UPDATE records SET outbox = NULL WHERE id = ?')

let queue: { write: () => void; done: () => void }[] = []

/** Resolves when the write is on disk; all writes of one turn of the event loop share a transaction. */
const durably = (write: () => void): Promise<void> =>
  new Promise((done) => {
    if (queue.push({ write, done }) === 1) setImmediate(flush)
  })

function flush(): void {
  const batch = queue
  queue = []
  begin.run()
  for (const { write } of batch) write()
  commit.run()
  for (const { done } of batch) done()
}

interface Doc {
  id: string
  status: string
  [detail: string]: unknown
}

/** Reads, changes and writes a record by compare-and-swap. */
async function change(id: string, changed: (doc: Doc) => Doc, outbox: string | null): Promise<Doc> {
  let next: Doc | undefined
  await durably(() => {
    const { version, doc } = read.get(id)
    next = changed(JSON.parse(doc))
    if (replace.run(JSON.stringify(next), outbox, id, version).changes !== 1) throw new Error('lost the swap')
  })
  return next!
}

const holds = new Map<string, () => void>()
const streams = new Set<WebSocket>()
const app = Fastify({ forceCloseConnections: true })

app.post<{ Body: { tool: string; args: unknown } }>('/v1/actions', async (request) => {
  const id = String(request.headers['idempotency-key'])
  const { tool, args } = request.body
  const requestedAt = Date.now()
  const requested: Doc = {
    id,
    tenant: 'default',
    status: 'pending',
    agent: { id: 'key_agent', name: 'agent', session: null, user: null },
    action: { kind: 'tool', tool, args, summary: tool, preview: JSON.stringify(args), truncated: false },
    rule: { id: 'refunds', revision: '1', why: ['The rule refunds matched.'] },
    risk: 'high',
    approvers: [],
    threshold: { approve: 1, deny: 1 },
    reasonRequired: [],
    requestedAt,
    expiresAt: requestedAt + 300_000,
    votes: [],
    decidedBy: [],
  }
  const text = JSON.stringify(requested)
  const decided = new Promise<void>((resolve) => holds.set(id, resolve))
  await durably(() => append.run('requested', id, text))
  const frame = `{"type":"event","event":"requested","approval":${text}}`
  for (const stream of streams) stream.send(frame)
  await durably(() => insert.run(id, text))
  await decided
  await change(id, (doc) => ({ ...doc, status: 'claimed', claimedAt: Date.now() }), null)
  return { effect: 'allow', approvalId: id, args }
})

app.post<{ Params: { id: string }; Body: { decision: string } }>('/v1/approvals/:id/decision', async (request) => {
  const { id } = request.params
  const decidedAt = Date.now()
  const by = { id: 'key_owner', name: 'owner', type: 'user', via: 'http' }
  const decided = { status: 'approved', decidedBy: [by], decidedAt }
  const votes = [{ by, decision: request.body.decision, at: decidedAt }]
  const event = JSON.stringify({ id, ...decided })
  const approved = await change(id, (doc) => ({ ...doc, ...decided, votes }), event)
  void publish(id, event)
  return approved
})

async function publish(id: string, event: string): Promise<void> {
  await durably(() => append.run('decided', id, event))
  holds.get(id)?.()
  holds.delete(id)
  await durably(() => clearOutbox.run(id))
}

new WebSocketServer({ server: app.server, path: '/v1/stream' }).on('connection', (stream) => {
  streams.add(stream)
  stream.on('close', () => streams.delete(stream))
  stream.on('message', () => stream.send('{"type":"snapshot"}'))
})

console.log(`ready ${await app.listen({ port: 0, host: '127.0.0.1' })}`)
process.once('SIGTERM', () => {
  db.close()
  process.exit()
})
