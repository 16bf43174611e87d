import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { approvalIdForKey } from '../lib/core/ids.ts'
import { startServer } from './server.ts'
import { FROM_SOURCE, LIMITS, MAIN, POLICY, type Target } from './target.ts'

/** Where Kafka and MongoDB are. */
export interface Engines {
  kafka: string
  mongo: string
}

/** Of every topic, for both contenders. */
export const PARTITIONS = 3

export type ServiceName = 'decider' | 'gate' | 'notifier'

/** Room for the processes of one product fleet, with keys in its store. */
export interface Fleet {
  agentKey: string
  agentId: string
  token: string
  env: Record<string, string>
  start(
    name: ServiceName,
    more?: { port?: number; env?: Record<string, string>; nodeOptions?: readonly string[] },
  ): ReturnType<typeof startServer>
}

/** A directory in `root`, a database and topics of its own. */
export function createFleet(root: string, { kafka, mongo }: Engines): Fleet {
  const cwd = join(root, 'fleet')
  mkdirSync(cwd)
  writeFileSync(join(cwd, 'policy.yaml'), POLICY)
  writeFileSync(join(cwd, 'countersign.yaml'), `${LIMITS}topics: { prefix: "bench.", partitions: ${PARTITIONS} }\n`)
  const env = {
    KAFKA_BROKERS: kafka,
    MONGODB_URL: withDatabase(mongo, 'countersign'),
    COUNTERSIGN_SERVICE_KEY: `css_${randomBytes(32).toString('base64url')}`,
  }
  const keyOf = (name: string, role: string): { id: string; key: string } => {
    const args = [MAIN, 'keys', 'create', '--name', name, '--role', role, '--json']
    return JSON.parse(execFileSync(process.execPath, args, { cwd, env: { ...process.env, ...env }, encoding: 'utf8' }))
  }
  const agent = keyOf('agent', 'agent')
  return {
    agentKey: agent.key,
    agentId: agent.id,
    token: keyOf('owner', 'approver').key,
    env,
    start: (name, { port = 0, env: more = {}, nodeOptions = [] } = {}) =>
      startServer([...nodeOptions, MAIN, name, '--port', String(port)], { cwd, env: { ...env, ...more } }),
  }
}

/** The built product: gate, notifier and decider. */
export async function startCountersignFleet(
  root: string,
  engines: Engines,
  nodeOptions: readonly string[] = [],
): Promise<Target> {
  const fleet = createFleet(root, engines)
  const decider = await fleet.start('decider', { nodeOptions })
  const env = { COUNTERSIGN_DECIDER_URL: decider.url }
  const [gate, notifier] = await Promise.all([
    fleet.start('gate', { env, nodeOptions }),
    fleet.start('notifier', { env, nodeOptions }),
  ])
  const { agentKey, agentId, token } = fleet
  return {
    urls: { agents: gate.url, stream: notifier.url, decisions: decider.url },
    pids: { gate: gate.pid, notifier: notifier.pid, decider: decider.pid },
    agentKey,
    token,
    idOf: (key) => approvalIdForKey('default', agentId, key),
    close: async () => void (await Promise.all([gate.close(), notifier.close(), decider.close()])),
  }
}

/** The bare scripts: the same three processes. */
export async function startFloorFleet({ kafka, mongo }: Engines): Promise<Target> {
  const script = fileURLToPath(new URL('floor-fleet.ts', import.meta.url))
  const start = (role: ServiceName) =>
    startServer([...FROM_SOURCE, script, role, kafka, withDatabase(mongo, 'floor'), String(PARTITIONS)])
  const decider = await start('decider')
  const [gate, notifier] = await Promise.all([start('gate'), start('notifier')])
  return {
    urls: { agents: gate.url, stream: notifier.url, decisions: decider.url },
    pids: { gate: gate.pid, notifier: notifier.pid, decider: decider.pid },
    agentKey: 'nobody',
    token: 'nobody',
    idOf: (key) => key,
    close: async () => void (await Promise.all([gate.close(), notifier.close(), decider.close()])),
  }
}

function withDatabase(url: string, name: string): string {
  const named = new URL(url)
  named.pathname = `/${name}`
  return named.href
}
