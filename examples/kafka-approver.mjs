// Decides refunds by a rule of its own, over Kafka: reads approval.requested, writes approval.decide.
import avsc from 'avsc'
import { published, schemas } from 'countersign/schemas'
import { Kafka, logLevel } from 'kafkajs'

const { KAFKA_BROKERS = 'localhost:9092', TOPIC_PREFIX = '' } = process.env
const NAME = 'refund-bot'

// Avro single-object encoding: C3 01, the CRC-64-AVRO of the writer's schema (little-endian), the record.
const EMPTY = 0xc15d213aa4d7a795n
function crc64(text) {
  let crc = EMPTY
  for (const byte of Buffer.from(text)) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? EMPTY : 0n)
  }
  return crc
}

function headerOf(type) {
  const header = Buffer.from([0xc3, 0x01, 0, 0, 0, 0, 0, 0, 0, 0])
  // avsc's own form of a schema is the Parsing Canonical Form.
  header.writeBigUInt64LE(crc64(JSON.stringify(type.schema())), 2)
  return header
}

function codecOf(topic) {
  const type = avsc.Type.forSchema(schemas[topic])
  const header = headerOf(type)
  // What older releases wrote may still lie on a topic.
  const writers = Object.values(published).flatMap((version) => version[topic] ?? [])
  const resolvers = new Map(
    [schemas[topic], ...writers].map((schema) => {
      const writer = avsc.Type.forSchema(schema)
      return [headerOf(writer).toString('hex'), type.createResolver(writer)]
    }),
  )
  return {
    encode: (event) => Buffer.concat([header, type.toBuffer(event)]),
    decode(value) {
      const resolver = resolvers.get(value.subarray(0, 10).toString('hex'))
      if (!resolver) throw new Error('not in single-object encoding, or a newer release wrote it')
      return type.fromBuffer(value.subarray(10), resolver)
    },
  }
}

const requested = codecOf('approval.requested')
const decide = codecOf('approval.decide')

/** A decision and its reason, or undefined to leave it to people. Previews are redacted, and may be cut short. */
function judge({ action: { tool, preview, previewTruncated }, approvers }) {
  // A rule that names its approvers wants people: the topic does not count there.
  if (tool !== 'stripe.refund' || previewTruncated || approvers.length > 0) return undefined
  const { amount } = JSON.parse(preview)
  if (typeof amount !== 'number') return undefined
  if (amount <= 50) return { decision: 'approve', reason: 'a small refund' }
  if (amount > 1000) return { decision: 'deny', reason: 'too large for an agent' }
  return undefined
}

/** As a message. The id is the same each time: sent twice, it is one command. */
function messageOf({ id, tenant }, { decision, reason }) {
  const at = Date.now()
  const commandId = `${NAME}:${id}`
  const actor = { id: NAME, name: NAME, type: 'system', via: 'topic' }
  return {
    key: id,
    value: decide.encode({ commandId, id, tenant, decision, actor, reason, edits: null, at }),
    headers: {
      ce_specversion: '1.0',
      ce_id: commandId,
      ce_type: 'approval.decide',
      ce_source: NAME,
      ce_time: new Date(at).toISOString(),
      ce_subject: id,
      'content-type': 'application/avro',
    },
  }
}

const kafka = new Kafka({ clientId: NAME, brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.ERROR })
const producer = kafka.producer({ allowAutoTopicCreation: false })
const consumer = kafka.consumer({ groupId: `${TOPIC_PREFIX}${NAME}`, allowAutoTopicCreation: false })
await Promise.all([producer.connect(), consumer.connect()])
await consumer.subscribe({ topic: `${TOPIC_PREFIX}approval.requested`, fromBeginning: true })
await consumer.run({
  async eachMessage({ partition, message }) {
    let request
    try {
      request = requested.decode(message.value)
    } catch (error) {
      return console.error(`skipped  ${partition}@${message.offset}: ${error.message}`)
    }
    const isOpen = Date.now() < request.requestedAt + request.timeoutMs
    const verdict = isOpen ? judge(request) : undefined
    if (verdict)
      await producer.send({ topic: `${TOPIC_PREFIX}approval.decide`, messages: [messageOf(request, verdict)] })
    // The answer is on approval.decided: the record may have refused, or somebody was faster.
    console.log(`${(verdict?.decision ?? 'left').padEnd(7)}  ${request.id}  ${request.action.summary}`)
  },
})
console.log('watching')

for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, async () => {
    await consumer.disconnect()
    await producer.disconnect()
  })
