import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createMongoKeyStore } from '../../lib/adapters/mongo/key-store.ts'
import type { Role } from '../../lib/ports/key-store.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { hashSecret, newKeyId, newSecret } from '../../lib/runtime/keys.ts'
import type { Backend } from './backends/backend.ts'
import { removeTopics } from './kafka-topics.ts'
import { mongoDatabase } from './mongo-database.ts'
import { type CountersignProcess, runCountersign, startService } from './process.ts'
import { Caller, POLICY } from './server.ts'

export interface Fleet {
  /** Starts one more service in a process of its own. */
  start(
    name: 'gate' | 'notifier' | 'decider',
    more?: { env?: Record<string, string>; port?: string },
  ): Promise<CountersignProcess>
  /** Runs the command line with the fleet's environment. */
  run(args: readonly string[]): ReturnType<typeof runCountersign>
  caller(url: string, secret: string): Caller
  agent(url: string): Caller
  admin(url: string): Caller
}

/** Room for the processes of one fleet: topics and a database of their own, gone with the test. */
export async function createFleet(kafka: Backend, mongo: Backend): Promise<Fleet> {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-fleet-'))
  const prefix = `${randomUUID()}.`
  const database = mongoDatabase(mongo)
  onTestFinished(async () => {
    await database.remove()
    await removeTopics(kafka.url, prefix)
    rmSync(cwd, { recursive: true, force: true })
  })
  writeFileSync(join(cwd, 'policy.yaml'), POLICY)
  writeFileSync(join(cwd, 'countersign.yaml'), `topics: { prefix: "${prefix}", partitions: 2 }\n`)
  const env = {
    KAFKA_BROKERS: kafka.url,
    MONGODB_URL: database.url,
    COUNTERSIGN_SERVICE_KEY: `css_${randomBytes(32).toString('base64url')}`,
    COUNTERSIGN_LOG_LEVEL: 'warn',
  }

  const keys = createMongoKeyStore({ db: (await database.connect()).db, clock: systemClock })
  async function secretOf(name: string, role: Role): Promise<string> {
    const secret = newSecret(role)
    const key = { name, role, tenant: 'default', groups: [], email: null, createdAt: 0 }
    await keys.insert({ ...key, id: newKeyId(), hash: hashSecret(secret) })
    return secret
  }
  const agentKey = await secretOf('agent', 'agent')
  const adminToken = await secretOf('owner', 'admin')

  let deciderUrl = ''
  return {
    async start(name, more = {}) {
      const started = await startService(name, {
        cwd,
        env: { ...env, ...(name === 'decider' ? {} : { COUNTERSIGN_DECIDER_URL: deciderUrl }), ...more.env },
        args: ['--port', more.port ?? '0'],
      })
      if (name === 'decider') deciderUrl ||= started.url
      return started
    },
    run: (args) => runCountersign(args, { cwd, env }),
    caller: (url, secret) => new Caller(url, secret, 'caller'),
    agent: (url) => new Caller(url, agentKey, 'agent'),
    admin: (url) => new Caller(url, adminToken, 'owner'),
  }
}
