import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KafkaContainer } from '@testcontainers/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { Wait } from 'testcontainers'
import type { StartedBackend } from './backend.ts'
import { inContainerElseNative } from './docker.ts'
import { cached, freePort, lastLines, listening, run, type ServerProcess, spawnServer } from './native.ts'

const VERSION = '4.1.0'
const IMAGE = 'confluentinc/cp-kafka:8.1.0'
const START_TIMEOUT_MS = 30_000
/** Any id will do: a test broker is alone in its cluster. */
const CLUSTER_ID = 'Y291bnRlcnNpZ24tdGVzdA'

/**
 * A Kafka broker that creates no topics by itself: KAFKA_BROKERS, else a container, else a broker of our own.
 * Rejects with the reason when none can be had.
 */
export async function startKafka(): Promise<StartedBackend> {
  const { KAFKA_BROKERS } = process.env
  if (KAFKA_BROKERS) return { url: KAFKA_BROKERS, how: 'given', stop: async () => {} }
  return inContainerElseNative(startContainer, startBroker)
}

async function startContainer(): Promise<StartedBackend> {
  const container = await new KafkaContainer(IMAGE)
    .withEnvironment({
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start()
  return {
    url: `${container.getHost()}:${container.getMappedPort(9093)}`,
    how: 'docker',
    stop: async () => {
      await container.stop()
    },
  }
}

/** A broker of our own: a test may stop and kill it. */
export interface Broker extends StartedBackend {
  /** It takes connections and answers nothing until `resume`. */
  pause(): void
  resume(): void
  /** kill -9. */
  kill(): Promise<void>
  /** Starts it again on the same port and data; resolves when it answers. */
  restart(): Promise<void>
}

/** Starts a one-node cluster on free ports, its data in a temporary directory. */
export async function startBroker(): Promise<Broker> {
  const classPath = `${await kafkaJars()}/*`
  const directory = mkdtempSync(join(tmpdir(), 'countersign-kafka-'))
  const logFile = join(directory, 'kafka.log')
  const propertiesFile = join(directory, 'server.properties')
  const port = await freePort()
  const url = `127.0.0.1:${port}`
  const settings = properties({ directory, port, controllerPort: await freePort() })
  writeFileSync(propertiesFile, settings)
  let broker: ServerProcess

  async function start(): Promise<void> {
    const java = [
      '-Xms256m',
      '-Xmx512m',
      '-XX:TieredStopAtLevel=1',
      '-XX:+UseSerialGC',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      classPath,
    ]
    broker = await spawnServer('java', [...java, 'kafka.Kafka', propertiesFile], { logFile })
    try {
      await listening(port, broker, START_TIMEOUT_MS)
      await answering(url)
    } catch (error) {
      await broker.kill()
      throw new Error(`Kafka did not start: ${lastLines(logFile)}`, { cause: error })
    }
  }

  const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', CLUSTER_ID, '--config', propertiesFile]
  await run('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, ...format])
  await start()
  return {
    url,
    how: 'native',
    pause: () => process.kill(broker.pid, 'SIGSTOP'),
    resume: () => process.kill(broker.pid, 'SIGCONT'),
    kill: () => broker.kill(),
    restart: start,
    stop: async () => {
      await broker.kill()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const properties = (at: { directory: string; port: number; controllerPort: number }): string => `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${at.controllerPort}
listeners=PLAINTEXT://127.0.0.1:${at.port},CONTROLLER://127.0.0.1:${at.controllerPort}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=${join(at.directory, 'data')}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
`

/** The folder of Kafka's jars, from Maven Central. */
const kafkaJars = (): Promise<string> =>
  cached(`kafka-${VERSION}`, async (folder) => {
    mkdirSync(folder)
    const pom = join(folder, 'pom.xml')
    writeFileSync(pom, POM)
    try {
      const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`]
      await run('mvn', ['--quiet', '--batch-mode', '--file', pom, ...copy])
    } catch (error) {
      throw new Error('Kafka: set KAFKA_BROKERS, start Docker, or install Java 17 and Maven', { cause: error })
    }
  })

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>countersign</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
${dependency('org.apache.kafka', 'kafka_2.13', VERSION)}
${dependency('org.slf4j', 'slf4j-simple', '1.7.36')}
</dependencies>
</project>
`

/** A broker takes connections before it answers on them. */
async function answering(url: string): Promise<void> {
  const retry = { initialRetryTime: 100, maxRetryTime: 500, retries: 60 }
  const admin = new Kafka({ brokers: [url], logLevel: logLevel.NOTHING, retry }).admin()
  try {
    await admin.connect()
    await admin.describeCluster()
  } finally {
    await admin.disconnect()
  }
}
