import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Backend, findBackend } from './backends/backend.ts'
import { removeTopics } from './kafka-topics.ts'
import { mongoDatabase } from './mongo-database.ts'
import { POLICY } from './server.ts'
import { type TopicLog, topicLog } from './topic-log.ts'

export interface Engines {
  kafka: Backend
  mongo: Backend
}

/** Both, or why there are not both. */
export async function findEngines(): Promise<Engines | { reason: string }> {
  const [kafka, mongo] = await Promise.all([findBackend('kafka'), findBackend('mongo')])
  if ('reason' in kafka) return kafka
  return 'reason' in mongo ? mongo : { kafka, mongo }
}

/** Topics and a database of their own, without anybody in them, gone with the test. */
export interface EngineRoom {
  /** Names the two engines. */
  env: { KAFKA_BROKERS: string; MONGODB_URL: string; COUNTERSIGN_LOG_LEVEL: string }
  log: TopicLog
  /** A new working directory with the tests' policy, and a configuration that names the topics. */
  folder(): string
}

export function engineRoom({ kafka, mongo }: Engines): EngineRoom {
  const prefix = `${randomUUID()}.`
  const database = mongoDatabase(mongo)
  onTestFinished(async () => {
    await database.remove()
    await removeTopics(kafka.url, prefix)
  })
  return {
    env: { KAFKA_BROKERS: kafka.url, MONGODB_URL: database.url, COUNTERSIGN_LOG_LEVEL: 'warn' },
    log: topicLog(kafka.url, prefix),
    folder() {
      const cwd = mkdtempSync(join(tmpdir(), 'countersign-engines-'))
      onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
      writeFileSync(join(cwd, 'policy.yaml'), POLICY)
      writeFileSync(join(cwd, 'countersign.yaml'), `topics: { prefix: "${prefix}", partitions: 2 }\n`)
      return cwd
    },
  }
}
