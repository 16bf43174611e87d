import { once } from 'node:events'
import { connect } from 'node:net'
import Fastify from 'fastify'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { type AnyBulkWriteOperation, MongoClient } from 'mongodb'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * The floor of a fleet: what a held call costs at the least over Fastify, Kafka and MongoDB, in the same three
 * processes. The same events and durable writes as a cycle of Countersign, shared by what comes in one turn of the
 * event loop, and nothing else: no policy, no identity, no history, no redaction, no checks, no Avro, no reads; and
 * the gate writes the claim itself. It shares no code with the product.
 */
const [role = '', brokers = '', mongoUrl = '', partitions = ''] = process.argv.slice(2)
const REQUESTED = 'floor.requested'
const DECIDED = 'floor.decided'

interface Doc {
  _id: string
  status: string
  outbox?: string
  [detail: string]: unknown
}

/** Gathers what comes in one turn of the event loop; while `inFlight` batches are under way, it goes with the next. */
function batched<T>(inFlight: number, send: (items: T[]) => Promise<unknown>): (item: T) => Promise<void> {
  let waiting: { item: T; resolve: () => void; reject: (error: unknown) => void }[] = []
  let underWay = 0
  let isArmed = false
  const arm = () => {
    if (isArmed || waiting.length === 0 || underWay >= inFlight) return
    isArmed = true
    setImmediate(flush)
  }
  const flush = async () => {
    isArmed = false
    const batch = waiting
    waiting = []
    underWay += 1
    try {
      await send(batch.map(({ item }) => item))
      for (const { resolve } of batch) resolve()
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    underWay -= 1
    arm()
  }
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      arm()
    })
}

const kafka = new Kafka({
  brokers: brokers.split(','),
  clientId: `floor-${role}`,
  logLevel: logLevel.NOTHING,
  socketFactory: ({ host, port, onConnect }) => connect({ host, port, noDelay: true, keepAlive: true }, onConnect),
})

async function producer(): Promise<(message: { topic: string; key: string; value: string }) => Promise<void>> {
  const producing = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producing.connect()
  return batched(1, (messages) =>
    producing.sendBatch({
      acks: -1,
      topicMessages: [REQUESTED, DECIDED].map((topic) => ({
        topic,
        messages: messages.filter((message) => message.topic === topic),
      })),
    }),
  )
}

async function consume(topic: string, handle: (values: string[]) => Promise<void> | void): Promise<void> {
  const consumer = kafka.consumer({ groupId: `floor-${role}`, minBytes: 1, maxWaitTimeInMs: 250 })
  const isFetching = new Promise<void>((resolve) => consumer.on(consumer.events.FETCH, () => resolve()))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: Number(partitions),
    eachBatch: async ({ batch }) => handle(batch.messages.map(({ value }) => String(value))),
  })
  await isFetching
}

async function bulkWriter() {
  const client = await new MongoClient(mongoUrl).connect()
  const approvals = client.db().collection<Doc>('approvals', { writeConcern: { w: 'majority', journal: true } })
  await approvals.createIndex({ outbox: 1 }, { partialFilterExpression: { outbox: { $exists: true } } })
  const write = batched<AnyBulkWriteOperation<Doc>>(2, async (operations) => {
    const { insertedCount, matchedCount } = await approvals.bulkWrite(operations, { ordered: false })
    if (insertedCount + matchedCount < operations.length) throw new Error('lost a swap')
  })
  return { approvals, write }
}

const app = Fastify({ forceCloseConnections: true })

async function gate(): Promise<void> {
  const [publish, { write }] = await Promise.all([producer(), bulkWriter()])
  const holds = new Map<string, () => void>()
  app.post<{ Body: { tool: string; args: unknown } }>('/v1/actions', async (request) => {
    const id = String(request.headers['idempotency-key'])
    const { tool, args } = request.body
    const requestedAt = Date.now()
    const requested: Doc = {
      _id: id,
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
    const decided = new Promise<void>((resolve) => holds.set(id, resolve))
    await publish({ topic: REQUESTED, key: id, value: JSON.stringify(requested) })
    await decided
    const claim = { $set: { status: 'claimed', claimedAt: Date.now() } }
    await write({ updateOne: { filter: { _id: id, status: 'approved' }, update: claim } })
    return { effect: 'allow', approvalId: id, args }
  })
  await consume(DECIDED, (values) => {
    for (const value of values) {
      const { id } = JSON.parse(value)
      holds.get(id)?.()
      holds.delete(id)
    }
  })
}

async function decider(): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const topics = [REQUESTED, DECIDED].map((topic) => ({ topic, numPartitions: Number(partitions) }))
  await admin.createTopics({ topics })
  // A broker that was asked at once may not have heard of them yet.
  const areThere = () =>
    admin.fetchTopicMetadata({ topics: [REQUESTED, DECIDED] }).then(
      () => true,
      () => false,
    )
  while (!(await areThere())) await new Promise((resolve) => setTimeout(resolve, 50))
  await admin.disconnect()
  const [publish, { approvals, write }] = await Promise.all([producer(), bulkWriter()])
  const clear = batched<string>(1, async (ids) => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    const filter = { _id: { $in: ids } }
    await approvals.updateMany(filter, { $unset: { outbox: 1 } }, { writeConcern: { w: 1, journal: false } })
  })
  /** The approver may hear of a request before it is on record. */
  const arrivals = new Map<string, { promise: Promise<void>; resolve: () => void }>()
  const arrivalOf = (id: string) => {
    const known = arrivals.get(id)
    if (known) return known
    let resolve = () => {}
    const promise = new Promise<void>((settle) => {
      resolve = settle
    })
    const arrival = { promise, resolve }
    arrivals.set(id, arrival)
    return arrival
  }
  app.post<{ Params: { id: string }; Body: { decision: string } }>('/v1/approvals/:id/decision', async (request) => {
    const { id } = request.params
    await arrivalOf(id).promise
    arrivals.delete(id)
    const decidedAt = Date.now()
    const by = { id: 'key_owner', name: 'owner', type: 'user', via: 'http' }
    const decided = { status: 'approved', decidedBy: [by], decidedAt }
    const votes = [{ by, decision: request.body.decision, at: decidedAt }]
    const event = JSON.stringify({ id, ...decided })
    const update = { $set: { ...decided, votes, outbox: event } }
    await write({ updateOne: { filter: { _id: id, status: 'pending' }, update } })
    void publish({ topic: DECIDED, key: id, value: event }).then(() => clear(id))
    return { id, ...decided, votes }
  })
  await consume(REQUESTED, async (values) => {
    await Promise.all(
      values.map(async (value) => {
        const document = JSON.parse(value) as Doc
        await write({ insertOne: { document } })
        arrivalOf(document._id).resolve()
      }),
    )
  })
}

async function notifier(): Promise<void> {
  const streams = new Set<WebSocket>()
  new WebSocketServer({ server: app.server, path: '/v1/stream' }).on('connection', (stream) => {
    streams.add(stream)
    stream.on('close', () => streams.delete(stream))
    stream.on('message', () => stream.send('{"type":"snapshot"}'))
  })
  await consume(REQUESTED, (values) => {
    for (const value of values) {
      const { _id: id, ...approval } = JSON.parse(value)
      const frame = JSON.stringify({ type: 'event', event: 'requested', approval: { id, ...approval } })
      for (const stream of streams) stream.send(frame)
    }
  })
}

const roles: Record<string, () => Promise<void>> = { gate, decider, notifier }
await roles[role]?.()
console.log(`ready ${await app.listen({ port: 0, host: '127.0.0.1' })}`)
await once(process, 'SIGTERM')
process.exit()
