import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { createKafkaBus } from '../../lib/adapters/kafka/bus.ts'
import { listDeadLetters } from '../../lib/adapters/kafka/dead-letters.ts'
import { findBackend, withBackend } from '../support/backends/backend.ts'
import { removeTopics } from '../support/kafka-topics.ts'
import { type BusHarness, runBusConformance } from './bus.suite.ts'
import { jsonCodec } from './json-codec.ts'
import { realClock } from './real-clock.ts'

await withBackend(
  'bus: kafka',
  () => findBackend('kafka'),
  ({ url }) => {
    runBusConformance('kafka', async (): Promise<BusHarness> => {
      const connection = {
        brokers: url.split(','),
        clientId: 'test',
        clock: realClock,
        topicPrefix: `${randomUUID()}.`,
      }
      const createTopics = { partitions: 3, replicationFactor: 1, retentionMs: 3_600_000 }
      const open = () => createKafkaBus({ ...connection, codec: jsonCodec, source: 'test', createTopics })
      let current = await open()

      return {
        bus: current,
        async reopen() {
          await current.close()
          current = await open()
          return current
        },
        async deadLetters(topic) {
          const letters = await listDeadLetters(connection, { topics: [topic], limit: 100 })
          return letters.map(({ eventId, cause }) => ({ eventId, cause }))
        },
        async appendGarbage(topic, key) {
          const producer = new Kafka({ ...connection, logLevel: logLevel.NOTHING }).producer()
          await producer.connect()
          const message = { key, value: Buffer.from([0xff, 0xfe]) }
          await producer.send({ topic: connection.topicPrefix + topic, messages: [message] })
          await producer.disconnect()
        },
        async cleanUp() {
          await current.close()
          await removeTopics(url, connection.topicPrefix)
        },
      }
    })
  },
)
