import { avroCodec } from '../lib/adapters/avro/event-codec.ts'
import { registeredAvroCodec } from '../lib/adapters/avro/registered-codec.ts'
import { createSchemaRegistry } from '../lib/adapters/avro/schema-registry.ts'
import { createKafkaBus } from '../lib/adapters/kafka/bus.ts'
import type { KafkaConnection } from '../lib/adapters/kafka/client.ts'
import { listDeadLetters, redriveDeadLetters } from '../lib/adapters/kafka/dead-letters.ts'
import { createMongoApprovalStore } from '../lib/adapters/mongo/approval-store.ts'
import { connectMongo } from '../lib/adapters/mongo/connection.ts'
import { createMongoDeliveryStore } from '../lib/adapters/mongo/delivery-store.ts'
import { createMongoKeyStore } from '../lib/adapters/mongo/key-store.ts'
import { createMongoWebhookStore } from '../lib/adapters/mongo/webhook-store.ts'
import type { ApprovalStore } from '../lib/ports/approval-store.ts'
import type { Bus } from '../lib/ports/bus.ts'
import type { DeliveryStore } from '../lib/ports/delivery-store.ts'
import type { KeyStore } from '../lib/ports/key-store.ts'
import type { WebhookStore } from '../lib/ports/webhook-store.ts'
import { systemClock } from '../lib/runtime/clock.ts'
import type { Config } from '../lib/runtime/config.ts'
import type { KafkaSettings } from '../lib/runtime/fleet-settings.ts'
import type { Lifecycle } from '../lib/runtime/lifecycle.ts'
import type { Logger } from '../lib/runtime/logger.ts'
import { connect } from '../lib/runtime/service.ts'

/** The bus of a fleet: Kafka, with single-object Avro, or a schema registry where one is set. */
export function openBus(
  service: string,
  kafka: KafkaSettings,
  { topics, retention }: Pick<Config, 'topics' | 'retention'>,
  waitForMs: number,
  log: Logger,
): Promise<Bus> {
  const { schemaRegistryUrl } = kafka
  const { prefix: topicPrefix, create, partitions, replicationFactor } = topics
  return connect(
    async () => {
      const registry = schemaRegistryUrl === undefined ? undefined : createSchemaRegistry(schemaRegistryUrl)
      return createKafkaBus({
        ...connectionOf(service, kafka),
        topicPrefix,
        codec: registry ? await registeredAvroCodec({ registry, topicPrefix }) : avroCodec(),
        clock: systemClock,
        logger: log,
        source: `countersign/${service}`,
        ...(create ? { createTopics: { partitions, replicationFactor, retentionMs: retention.eventsMs } } : {}),
      })
    },
    waitForMs,
    log,
  )
}

/** The dead letters of a fleet, for a person who looks after them. */
export function openDeadLetters(kafka: KafkaSettings, { topics }: Pick<Config, 'topics'>) {
  const options = { ...connectionOf('cli', kafka), clock: systemClock, topicPrefix: topics.prefix }
  return {
    list: (query: Parameters<typeof listDeadLetters>[1]) => listDeadLetters(options, query),
    redrive: (query: Parameters<typeof redriveDeadLetters>[1]) => redriveDeadLetters(options, query),
  }
}

const connectionOf = (service: string, { brokers, ssl, sasl }: KafkaSettings): KafkaConnection => ({
  brokers,
  ssl,
  ...(sasl ? { sasl } : {}),
  clientId: `countersign-${service}`,
})

/** The record, the keys and the deliveries of a fleet: MongoDB. All are closed by the lifecycle. */
export async function openStores(
  url: string,
  waitForMs: number,
  log: Logger,
  lifecycle: Lifecycle,
): Promise<{ store: ApprovalStore; keys: KeyStore; outgoing: { store: DeliveryStore; webhooks: WebhookStore } }> {
  const logger = { warn: (message: string) => log.warn(message), info: (message: string) => log.info(message) }
  const mongo = await connect(() => connectMongo({ url, logger }), waitForMs, log)
  lifecycle.onClose('mongodb', () => mongo.close())
  const clock = systemClock
  const store = createMongoApprovalStore({ db: mongo.db, clock })
  lifecycle.onClose('store', () => store.close())
  const keys = createMongoKeyStore({ db: mongo.db, clock })
  lifecycle.onClose('keys', () => keys.close())
  const deliveries = createMongoDeliveryStore({ db: mongo.db, clock })
  lifecycle.onClose('deliveries', () => deliveries.close())
  const webhooks = createMongoWebhookStore({ db: mongo.db, clock })
  lifecycle.onClose('webhooks', () => webhooks.close())
  return { store, keys, outgoing: { store: deliveries, webhooks } }
}
