import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createMongoApprovalStore } from '../lib/adapters/mongo/approval-store.ts'
import { connectMongo } from '../lib/adapters/mongo/connection.ts'
import { approvalIdForKey } from '../lib/core/ids.ts'
import { systemClock } from '../lib/runtime/clock.ts'
import { startBroker } from '../test/support/backends/kafka.ts'
import { startMongod } from '../test/support/backends/mongo.ts'
import { freePort } from '../test/support/backends/native.ts'
import { createFleet, type ServiceName } from './fleet-target.ts'
import type { Server } from './server.ts'
import { startAgents } from './soak/agents.ts'
import { approve } from './soak/approver.ts'
import { watchMemory } from './soak/memory.ts'
import { reconcile } from './soak/reconcile.ts'
import { quantile } from './statistics.ts'

/**
 * `npm run soak -- --minutes 10 --rate 50`: a fleet over engines of its own takes calls at a steady rate while each
 * service is killed once and the broker once; every call must come to exactly one end. Prints a summary as JSON;
 * exits 1 when anything was lost or done twice.
 */
const { minutes, rate } = readArguments()
const LENGTH_MS = minutes * 60_000
/** How long the last calls have to come to their end. */
const DRAIN_MS = 120_000
const TOLD_FAULTS = 20

const root = mkdtempSync(join(tmpdir(), 'countersign-soak-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => rmSync(root, { recursive: true, force: true }))

const mongo = await startMongod()
const kafka = await startBroker()
const fleet = createFleet(root, { kafka: kafka.url, mongo: mongo.url })
const ports = { decider: await freePort(), gate: await freePort(), notifier: await freePort() }
const urlOf = (name: ServiceName) => `http://127.0.0.1:${ports[name]}`
const start = (name: ServiceName): Promise<Server> =>
  fleet.start(name, {
    port: ports[name],
    env: {
      COUNTERSIGN_LOG_LEVEL: 'fatal',
      ...(name === 'decider' ? {} : { COUNTERSIGN_DECIDER_URL: urlOf('decider') }),
    },
  })
const services: Record<ServiceName, Server> = {
  decider: await start('decider'),
  gate: await start('gate'),
  notifier: await start('notifier'),
}

const outages: { atSeconds: number; killed: string; awaySeconds: number }[] = []
const began = performance.now()
const secondsSince = (time: number) => Number(((performance.now() - time) / 1000).toFixed(1))
const memory = watchMemory({
  gate: () => services.gate.pid,
  notifier: () => services.notifier.pid,
  decider: () => services.decider.pid,
})
const givingUp = new AbortController()
const approving = approve({ notifierUrl: urlOf('notifier'), token: fleet.token, signal: givingUp.signal })
const agents = startAgents({
  gateUrl: urlOf('gate'),
  key: fleet.agentKey,
  idOf: (key) => approvalIdForKey('default', fleet.agentId, key),
  rate,
  forMs: LENGTH_MS,
  signal: givingUp.signal,
})

await at(0.2, 'gate', () => restart('gate'))
await at(0.35, 'notifier', () => restart('notifier'))
await at(0.5, 'decider', () => restart('decider'))
await at(0.7, 'broker', async () => {
  await kafka.kill()
  await kafka.restart()
})
await at(1)

const giveUp = setTimeout(() => givingUp.abort(), DRAIN_MS)
await agents.finished()
const drainedSeconds = secondsSince(began + LENGTH_MS)
clearTimeout(giveUp)
givingUp.abort()
await approving
memory.stop()

const connection = await connectMongo({ url: fleet.env.MONGODB_URL ?? '' })
const store = createMongoApprovalStore({ db: connection.db, clock: systemClock })
const faults = await reconcile(agents.calls, store.scan())
await store.close()
await connection.close()
await Promise.all(Object.values(services).map((service) => service.close()))
await Promise.all([kafka.stop(), mongo.stop()])

const count = (answer: string) => agents.calls.filter((each) => each.answer === answer).length
const answerMs = agents.calls.flatMap(({ startedAt, answeredAt }) =>
  answeredAt === null ? [] : [answeredAt - startedAt],
)
const summary = {
  ok: faults.length === 0,
  settings: { minutes, rate },
  calls: agents.calls.length,
  allowed: count('allowed'),
  denied: count('denied'),
  reported: agents.calls.filter(({ isReported }) => isReported).length,
  retries: agents.calls.reduce((sum, { retries }) => sum + retries, 0),
  answerMs: {
    p50: Math.round(quantile(answerMs, 0.5)),
    p99: Math.round(quantile(answerMs, 0.99)),
    max: Math.round(quantile(answerMs, 1)),
  },
  drainedSeconds,
  outages,
  memoryMiB: memory.summary(),
  faults: { count: faults.length, first: faults.slice(0, TOLD_FAULTS) },
}
console.log(JSON.stringify(summary, (_key, value) => (typeof value === 'number' ? Number(value.toFixed(1)) : value), 2))
process.exit(summary.ok ? 0 : 1)

/** Waits for this share of the time; then `outage` takes something away and brings it back. */
async function at(share: number, killed?: string, outage?: () => Promise<void>): Promise<void> {
  const early = began + share * LENGTH_MS - performance.now()
  if (early > 0) await new Promise((resolve) => setTimeout(resolve, early))
  if (killed === undefined || outage === undefined) return
  const atSeconds = secondsSince(began)
  const goneAt = performance.now()
  await outage()
  outages.push({ atSeconds, killed, awaySeconds: secondsSince(goneAt) })
  console.error(`${killed} was killed at ${atSeconds} s and is back`)
}

async function restart(name: ServiceName): Promise<void> {
  await services[name].kill()
  services[name] = await start(name)
}

function readArguments(): { minutes: number; rate: number } {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '10' }, rate: { type: 'string', default: '50' } },
  })
  const numbers = { minutes: Number(values.minutes), rate: Number(values.rate) }
  for (const [name, value] of Object.entries(numbers))
    if (!(value > 0)) {
      console.error(`--${name} must be a number above 0.`)
      process.exit(2)
    }
  return numbers
}
