import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { approvalIdForKey } from '../lib/core/ids.ts'
import { startServer } from './server.ts'

/** What is measured, in processes of its own. */
export interface Target {
  /** Where agents call, where the approver's stream is, and where the approver decides. */
  urls: { agents: string; stream: string; decisions: string }
  /** Its processes by name. */
  pids: Readonly<Record<string, number>>
  agentKey: string
  token: string
  /** The id of the approval that this Idempotency-Key leads to. */
  idOf(key: string): string
  /** Ends its processes; resolves when they are gone. */
  close(): Promise<void>
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** The built command. */
export const MAIN = join(ROOT, 'dist/clients/cli/main.js')
/** What runs one of our scripts from source. */
export const FROM_SOURCE = ['--import', import.meta.resolve('tsx')]

export const POLICY = `
version: 1
default: allow
rules:
  - { id: refunds, match: { tool: "stripe.refund" }, action: require_approval, risk: high, approval: { timeout: 5m } }
  - { id: production, match: { tool: "deploy.*" }, when: [{ path: args.environment, eq: production }], action: require_approval }
  - { id: large-transfers, match: { tool: "bank.transfer" }, when: [{ path: args.amount, gt: 1000 }], action: require_approval }
  - { id: no-drops, match: { tool: "db.drop_*" }, action: deny }
  - { id: reads, match: { tool: "*.read" }, action: allow }
`
export const LIMITS = 'gate: { maxHolds: 10000, maxHoldsPerAgent: 10000 }\n'

/** The built product over a new data directory in `root`. `nodeOptions` go to its process. */
export async function startCountersign(root: string, nodeOptions: readonly string[] = []): Promise<Target> {
  const dataDir = join(root, 'countersign')
  const policyFile = join(root, 'policy.yaml')
  const configFile = join(root, 'countersign.yaml')
  writeFileSync(policyFile, POLICY)
  writeFileSync(configFile, LIMITS)
  const files = ['--data', dataDir, '--policy', policyFile, '--config', configFile]
  const { url, pid, close } = await startServer([...nodeOptions, MAIN, 'up', '--port', '0', ...files])
  const { agentKey, token } = JSON.parse(readFileSync(join(dataDir, 'owner.json'), 'utf8'))
  const session = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${agentKey}` } })
  const { id, tenant } = (await session.json()) as { id: string; tenant: string }
  return { ...atOne(url, pid), agentKey, token, idOf: (key) => approvalIdForKey(tenant, id, key), close }
}

/** The bare script over a new data directory in `root`. */
export async function startFloor(root: string): Promise<Target> {
  const dataDir = join(root, 'floor')
  mkdirSync(dataDir)
  const script = fileURLToPath(new URL('floor-embedded.ts', import.meta.url))
  const { url, pid, close } = await startServer([...FROM_SOURCE, script, dataDir])
  return { ...atOne(url, pid), agentKey: 'nobody', token: 'nobody', idOf: (key) => key, close }
}

const atOne = (url: string, pid: number): Pick<Target, 'urls' | 'pids'> => ({
  urls: { agents: url, stream: url, decisions: url },
  pids: { server: pid },
})
