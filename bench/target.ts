import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { approvalIdForKey } from '../lib/core/ids.ts'

/** A server to measure, in a process of its own. */
export interface Target {
  name: 'countersign' | 'floor'
  url: string
  pid: number
  agentKey: string
  token: string
  /** The id of the approval that this Idempotency-Key leads to. */
  idOf(key: string): string
  /** Ends the process; resolves when it is gone. */
  close(): Promise<void>
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))

const POLICY = `
version: 1
default: allow
rules:
  - { id: refunds, match: { tool: "stripe.refund" }, action: require_approval, risk: high, approval: { timeout: 5m } }
  - { id: production, match: { tool: "deploy.*" }, when: [{ path: args.environment, eq: production }], action: require_approval }
  - { id: large-transfers, match: { tool: "bank.transfer" }, when: [{ path: args.amount, gt: 1000 }], action: require_approval }
  - { id: no-drops, match: { tool: "db.drop_*" }, action: deny }
  - { id: reads, match: { tool: "*.read" }, action: allow }
`
const CONFIG = 'gate: { maxHolds: 10000, maxHoldsPerAgent: 10000 }\n'

/** The built product over a new data directory in `root`. `nodeOptions` go to its process. */
export async function startCountersign(root: string, nodeOptions: readonly string[] = []): Promise<Target> {
  const dataDir = join(root, 'countersign')
  const policyFile = join(root, 'policy.yaml')
  const configFile = join(root, 'countersign.yaml')
  writeFileSync(policyFile, POLICY)
  writeFileSync(configFile, CONFIG)
  const main = join(ROOT, 'dist/clients/cli/main.js')
  const files = ['--data', dataDir, '--policy', policyFile, '--config', configFile]
  const started = await start([...nodeOptions, main, 'up', '--port', '0', ...files])
  const { agentKey, token } = JSON.parse(readFileSync(join(dataDir, 'owner.json'), 'utf8'))
  const session = await fetch(`${started.url}/v1/session`, { headers: { authorization: `Bearer ${agentKey}` } })
  const { id, tenant } = (await session.json()) as { id: string; tenant: string }
  return { ...started, name: 'countersign', agentKey, token, idOf: (key) => approvalIdForKey(tenant, id, key) }
}

/** The bare script over a new data directory in `root`. */
export async function startFloor(root: string): Promise<Target> {
  const dataDir = join(root, 'floor')
  mkdirSync(dataDir)
  const script = fileURLToPath(new URL('floor-embedded.ts', import.meta.url))
  const started = await start(['--import', import.meta.resolve('tsx'), script, dataDir])
  return { ...started, name: 'floor', agentKey: 'nobody', token: 'nobody', idOf: (key) => key }
}

async function start(args: readonly string[]): Promise<Pick<Target, 'url' | 'pid' | 'close'>> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const kill = () => child.kill('SIGKILL')
  process.prependOnceListener('exit', kill)
  const ended = once(child, 'exit').finally(() => process.off('exit', kill))
  const url = await Promise.race([readyUrl(child), ended.then(() => undefined)])
  if (url === undefined || child.pid === undefined) throw new Error(`${args.join(' ')} did not start`)
  return {
    url,
    pid: child.pid,
    async close() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Resolves with the address that the process says it is ready at. */
function readyUrl({ stdout }: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const found = /^ready (\S+)/m.exec(text)?.[1]
      if (found) resolve(found)
    })
  })
}
