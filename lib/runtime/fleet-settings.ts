import { hostname } from 'node:os'

/** How a process of a fleet reaches the engines and the other services, from the environment. */
export interface KafkaSettings {
  brokers: string[]
  ssl: boolean
  sasl: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string } | undefined
  schemaRegistryUrl: string | undefined
}

export interface DeciderSettings {
  url: string
  serviceKey: string
}

type Env = Record<string, string | undefined>

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
const SHORTEST_KEY = 32

/** Each reader adds what is wrong to `problems`, by name and never by value. */
export function readKafka(env: Env, problems: string[]): KafkaSettings {
  const brokers = (env.KAFKA_BROKERS ?? '').split(',').map((broker) => broker.trim())
  if (!brokers.every((broker) => /^[^\s:]+:\d{1,5}$/.test(broker)))
    problems.push('KAFKA_BROKERS must be host:port, or several of them with commas')
  const ssl = env.KAFKA_SSL ?? 'false'
  if (ssl !== 'true' && ssl !== 'false') problems.push('KAFKA_SSL must be true or false')
  const schemaRegistryUrl = env.KAFKA_SCHEMA_REGISTRY_URL
  if (schemaRegistryUrl !== undefined && !URL.canParse(schemaRegistryUrl))
    problems.push('KAFKA_SCHEMA_REGISTRY_URL must be a URL')
  return { brokers, ssl: ssl === 'true', sasl: readSasl(env, problems), schemaRegistryUrl }
}

function readSasl(env: Env, problems: string[]): KafkaSettings['sasl'] {
  const given = [env.KAFKA_SASL_MECHANISM, env.KAFKA_SASL_USERNAME, env.KAFKA_SASL_PASSWORD]
  if (given.every((value) => value === undefined)) return undefined
  const mechanism = MECHANISMS.find((each) => each === (env.KAFKA_SASL_MECHANISM ?? 'plain').toLowerCase())
  if (!mechanism) problems.push(`KAFKA_SASL_MECHANISM must be ${MECHANISMS.join(', ')}`)
  const { KAFKA_SASL_USERNAME: username = '', KAFKA_SASL_PASSWORD: password = '' } = env
  if (username === '') problems.push('KAFKA_SASL_USERNAME is missing')
  if (password === '') problems.push('KAFKA_SASL_PASSWORD is missing')
  return mechanism && { mechanism, username, password }
}

export function readMongoUrl(env: Env, problems: string[]): string {
  const url = env.MONGODB_URL ?? ''
  if (!/^mongodb(\+srv)?:\/\//.test(url)) problems.push('MONGODB_URL must be a mongodb:// or mongodb+srv:// URL')
  return url
}

/** What `up` stands on: Kafka and MongoDB where the environment names both, its own files where it names neither. */
export function readEngines(env: Env, problems: string[]): { kafka: KafkaSettings; mongoUrl: string } | undefined {
  const names = ['KAFKA_BROKERS', 'MONGODB_URL'] as const
  const missing = names.filter((name) => !env[name])
  if (missing.length === names.length) return undefined
  for (const name of missing)
    problems.push(`${name} is missing: up runs over Kafka and MongoDB together (set both), or over neither (set none)`)
  if (missing.length > 0) return undefined
  return { kafka: readKafka(env, problems), mongoUrl: readMongoUrl(env, problems) }
}

/**
 * The name of a gate: unlike that of any other gate, and the same after a restart. No two share a port of a host; where
 * any free one is taken, nothing is left from a former life to be known by.
 */
export const readGateName = (env: Env, port: number): string =>
  env.COUNTERSIGN_GATE_NAME || `${hostname()}:${port === 0 ? `pid-${process.pid}` : port}`

export function readServiceKey(env: Env, problems: string[]): string {
  const serviceKey = env.COUNTERSIGN_SERVICE_KEY ?? ''
  if (serviceKey.length < SHORTEST_KEY || !/^[\x21-\x7e]{1,256}$/.test(serviceKey))
    problems.push(
      `COUNTERSIGN_SERVICE_KEY must be ${SHORTEST_KEY} to 256 visible characters, the same on gate, notifier and decider`,
    )
  return serviceKey
}

export function readDecider(env: Env, problems: string[]): DeciderSettings {
  const url = env.COUNTERSIGN_DECIDER_URL ?? ''
  if (!/^https?:\/\/[^/]+\/?$/.test(url)) problems.push('COUNTERSIGN_DECIDER_URL must be http(s)://host:port')
  return { url, serviceKey: readServiceKey(env, problems) }
}
