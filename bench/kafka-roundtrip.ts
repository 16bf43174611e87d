import { randomUUID } from 'node:crypto'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { avroCodec } from '../lib/adapters/avro/event-codec.ts'
import { createKafkaBus } from '../lib/adapters/kafka/bus.ts'
import { systemClock } from '../lib/runtime/clock.ts'
import { requestedEvent } from '../test/support/approvals.ts'
import { startKafka } from '../test/support/backends/kafka.ts'
import { quantile } from './statistics.ts'

/**
 * From a publish to the handler of a broadcast, beside a bare kafkajs producer and consumer doing the same, in turns in
 * one run: `npx tsx bench/kafka-roundtrip.ts`. KAFKA_BROKERS names the cluster; without it, one is started.
 */
const ROUNDS = 3
const IN_FLIGHT = [1, 32]
const WARM_UP = 500
const EVENTS = 3_000
const PARTITIONS = 3

interface Line {
  /** Resolves when it has come back. */
  roundTrip(): Promise<void>
  close(): Promise<void>
}

async function ours(brokers: string[]): Promise<Line> {
  const waiting = new Map<string, () => void>()
  const bus = await createKafkaBus({
    brokers,
    clientId: 'bench',
    codec: avroCodec(),
    clock: systemClock,
    source: 'bench',
    topicPrefix: `${randomUUID()}.`,
    createTopics: { partitions: PARTITIONS, replicationFactor: 1, retentionMs: 3_600_000 },
  })
  await bus.broadcast({
    topics: ['approval.requested'],
    handler: (batch) => {
      for (const { eventId } of batch) waiting.get(eventId)?.()
    },
  })
  return {
    async roundTrip() {
      const event = requestedEvent()
      const back = new Promise<void>((resolve) => waiting.set(event.eventId, resolve))
      await Promise.all([bus.publish([event]), back])
      waiting.delete(event.eventId)
    },
    close: () => bus.close(),
  }
}

/** What a careful user of kafkajs would write, with nothing around it: no event, no schema, no place of its own. */
async function bare(brokers: string[]): Promise<Line> {
  const topic = randomUUID()
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }], waitForLeaders: true })
  await admin.disconnect()
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  const consumer = kafka.consumer({ groupId: randomUUID(), minBytes: 1, maxWaitTimeInMs: 250 })
  const waiting = new Map<string, () => void>()
  await consumer.subscribe({ topic, fromBeginning: true })
  const fetching = new Promise<void>((resolve) => consumer.on(consumer.events.FETCH, () => resolve()))
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      for (const { key } of batch.messages) waiting.get(String(key))?.()
    },
  })
  await fetching
  const value = Buffer.alloc(avroCodec().encode(requestedEvent(), 'bench').value.length, 1)
  return {
    async roundTrip() {
      const key = randomUUID()
      const back = new Promise<void>((resolve) => waiting.set(key, resolve))
      await Promise.all([producer.send({ topic, acks: -1, messages: [{ key, value }] }), back])
      waiting.delete(key)
    },
    async close() {
      await consumer.disconnect()
      await producer.disconnect()
    },
  }
}

async function measure(line: Line, inFlight: number, count: number): Promise<{ times: number[]; perSecond: number }> {
  const times: number[] = []
  let left = count
  const work = async () => {
    while (left-- > 0) {
      const start = performance.now()
      await line.roundTrip()
      times.push(performance.now() - start)
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: inFlight }, work))
  return { times, perSecond: (count / (performance.now() - start)) * 1_000 }
}

const kafka = await startKafka()
const brokers = kafka.url.split(',')
const lines = { bare: await bare(brokers), ours: await ours(brokers) }
try {
  for (const inFlight of IN_FLIGHT) {
    for (const line of Object.values(lines)) await measure(line, inFlight, WARM_UP)
    const results = {
      bare: { times: [] as number[], rates: [] as number[] },
      ours: { times: [] as number[], rates: [] as number[] },
    }
    for (let round = 0; round < ROUNDS; round++)
      for (const name of ['bare', 'ours'] as const) {
        const { times, perSecond } = await measure(lines[name], inFlight, EVENTS / ROUNDS)
        results[name].times.push(...times)
        results[name].rates.push(perSecond)
      }
    for (const [name, { times, rates }] of Object.entries(results)) {
      const figures = { p50: quantile(times, 0.5), p99: quantile(times, 0.99), perSecond: quantile(rates, 0.5) }
      const text = `p50 ${figures.p50.toFixed(2)} ms  p99 ${figures.p99.toFixed(2)} ms  ${Math.round(figures.perSecond)}/s`
      console.log(`${String(inFlight).padStart(3)} in flight  ${name}  ${text}`)
    }
  }
} finally {
  await Promise.all(Object.values(lines).map((line) => line.close()))
  await kafka.stop()
}
