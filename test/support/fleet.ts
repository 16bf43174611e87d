import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { createMongoApprovalStore } from '../../lib/adapters/mongo/approval-store.ts'
import { createMongoKeyStore } from '../../lib/adapters/mongo/key-store.ts'
import type { Approval } from '../../lib/core/approval.ts'
import type { DomainEvent } from '../../lib/core/events.ts'
import type { Role } from '../../lib/ports/key-store.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { hashSecret, newKeyId, newSecret } from '../../lib/runtime/keys.ts'
import { type Backend, findBackend } from './backends/backend.ts'
import type { Evidence, TakenReport } from './history.ts'
import { removeTopics } from './kafka-topics.ts'
import { mongoDatabase } from './mongo-database.ts'
import { type CountersignProcess, type OnEnd, runCountersign, startService } from './process.ts'
import { type Answer, type AskBody, Caller, POLICY } from './server.ts'
import { type TopicLog, topicLog } from './topic-log.ts'

/** An agent whose answers are kept, to be held against the record. */
export class Agent extends Caller {
  readonly answers: Answer<AskBody>[] = []
  readonly reports: TakenReport[] = []

  override async ask(...call: Parameters<Caller['ask']>): Promise<Answer<AskBody>> {
    const answer = await super.ask(...call)
    this.answers.push(answer)
    return answer
  }

  /** Tells what came of an answer that allowed the call. */
  async report({ approvalId: id = '', use = 0 }: AskBody, outcome: 'executed' | 'failed' | 'not_executed') {
    const answer = await this.send('POST', `/v1/actions/${id}/outcome`, { body: { status: outcome, use } })
    if (answer.status < 300) this.reports.push({ id, use, outcome })
    return answer
  }
}

export interface Fleet {
  /** Where its processes run, and find their policy.yaml. */
  cwd: string
  /** Starts one more service in a process of its own. */
  start(
    name: 'gate' | 'notifier' | 'decider',
    more?: { env?: Record<string, string>; port?: string },
  ): Promise<CountersignProcess>
  /** Runs the command line with the fleet's environment. */
  run(args: readonly string[]): ReturnType<typeof runCountersign>
  caller(url: string, secret: string): Caller
  agent(url: string): Agent
  admin(url: string): Caller
  /** Of its topics. */
  prefix: string
  log: TopicLog
  /** Every record, the oldest first. */
  records(): Promise<Approval[]>
  /** What `expectSoundHistory` holds together. */
  evidence(): Promise<Evidence>
}

/** Both engines that all test files of this run share, or why one is missing. */
export async function findEngines(): Promise<{ kafka: Backend; mongo: Backend } | { reason: string }> {
  const [kafka, mongo] = await Promise.all([findBackend('kafka'), findBackend('mongo')])
  if ('reason' in kafka) return kafka
  return 'reason' in mongo ? mongo : { kafka, mongo }
}

/** One fleet for all tests of a suite, started before the first and gone after the last; call it in the suite. */
export function fleetOfSuite<T>(engines: { kafka: Backend; mongo: Backend }, start: (fleet: Fleet) => Promise<T>) {
  const ends: (() => Promise<void>)[] = []
  let started: T
  beforeAll(async () => {
    started = await start(await createFleet(engines.kafka, engines.mongo, (end) => ends.push(end)))
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })
  return () => started
}

/** Room for the processes of one fleet: topics and a database of their own, gone at the end (default: of the test). */
export async function createFleet(kafka: Backend, mongo: Backend, onEnd: OnEnd = onTestFinished): Promise<Fleet> {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-fleet-'))
  const prefix = `${randomUUID()}.`
  const database = mongoDatabase(mongo)
  onEnd(async () => {
    await database.remove()
    await removeTopics(kafka.url, prefix)
    rmSync(cwd, { recursive: true, force: true })
  })
  writeFileSync(join(cwd, 'policy.yaml'), POLICY)
  writeFileSync(join(cwd, 'countersign.yaml'), `topics: { prefix: "${prefix}", partitions: 2, decide: "\${DECIDE}" }\n`)
  const env = {
    KAFKA_BROKERS: kafka.url,
    MONGODB_URL: database.url,
    COUNTERSIGN_SERVICE_KEY: `css_${randomBytes(32).toString('base64url')}`,
    COUNTERSIGN_LOG_LEVEL: 'warn',
    DECIDE: 'refused',
  }

  const { db } = await database.connect()
  const keys = createMongoKeyStore({ db, clock: systemClock })
  const store = createMongoApprovalStore({ db, clock: systemClock })
  const log = topicLog(kafka.url, prefix)
  async function secretOf(name: string, role: Role): Promise<string> {
    const secret = newSecret(role)
    const key = { name, role, tenant: 'default', groups: [], email: null, createdAt: 0 }
    await keys.insert({ ...key, id: newKeyId(), hash: hashSecret(secret) })
    return secret
  }
  const agentKey = await secretOf('agent', 'agent')
  const adminToken = await secretOf('owner', 'admin')

  async function records(): Promise<Approval[]> {
    const found: Approval[] = []
    for await (const record of store.scan()) found.push(record)
    return found
  }

  const agents: Agent[] = []
  let deciderUrl = ''
  return {
    cwd,
    async start(name, more = {}) {
      const started = await startService(name, {
        cwd,
        env: { ...env, ...(name === 'decider' ? {} : { COUNTERSIGN_DECIDER_URL: deciderUrl }), ...more.env },
        args: ['--port', more.port ?? '0'],
        onEnd,
      })
      if (name === 'decider') deciderUrl ||= started.url
      return started
    },
    run: (args) => runCountersign(args, { cwd, env, onEnd }),
    caller: (url, secret) => new Caller(url, secret, 'caller'),
    agent(url) {
      const agent = new Agent(url, agentKey, 'agent')
      agents.push(agent)
      return agent
    },
    admin: (url) => new Caller(url, adminToken, 'owner'),
    prefix,
    log,
    records,
    async evidence() {
      const messages = await log.read()
      return {
        records: await records(),
        events: messages.map(({ event }) => event).filter((event): event is DomainEvent => event !== undefined),
        answers: agents.flatMap(({ answers }) => answers),
        reports: agents.flatMap(({ reports }) => reports),
      }
    },
  }
}

/** A call that waits for a person. */
export interface HeldCall {
  id: string
  answer: Promise<Answer<AskBody>>
}

/** Calls that are held, and on record. */
export async function hold(agent: Agent, admin: Caller, count: number): Promise<HeldCall[]> {
  const answers = Array.from({ length: count }, (_, n) => agent.ask('stripe.refund', { held: n }))
  const records = await admin.pending(count)
  const idOf = (n: number) => records.find(({ action }) => action.preview === `{"held":${n}}`)?.id ?? ''
  return answers.map((answer, n) => ({ answer, id: idOf(n) }))
}

/** Each is let go with its own approval. */
export async function expectAllowed(held: readonly HeldCall[]): Promise<void> {
  for (const { answer, id } of held) expect((await answer).body).toMatchObject({ effect: 'allow', approvalId: id })
}
