import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { embedded } from './embedded.ts'
import { fleet } from './fleet.ts'
import { mcp } from './mcp.ts'
import { policy } from './policy.ts'
import { proxy } from './proxy.ts'
import { webhooks } from './webhooks.ts'

/** `npm run bench` runs all; `npm run bench -- fleet` the ones that are named. */
const BENCHES = { embedded, fleet, mcp, policy, proxy, webhooks }

const isBench = (name: string): name is keyof typeof BENCHES => Object.hasOwn(BENCHES, name)

const named = process.argv.slice(2)
const unknown = named.filter((name) => !isBench(name))
if (unknown.length > 0) {
  console.error(`There is no bench called ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(' and ')}.`)
  process.exit(2)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const root = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
process.once('exit', () => rmSync(root, { recursive: true, force: true }))
for (const name of named.length === 0 ? Object.keys(BENCHES) : named) if (isBench(name)) await BENCHES[name](root)
process.exit()
