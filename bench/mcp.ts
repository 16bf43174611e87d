import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { hardware } from './machine.ts'
import { writeResults } from './report.ts'
import { startServer } from './server.ts'
import { quantile } from './statistics.ts'
import { FROM_SOURCE, MAIN, POLICY } from './target.ts'

const SETTINGS = { rounds: 10, callsPerRound: 200, warmUpCalls: 500 }

interface Times {
  p50: number
  p99: number
}

/**
 * What the gate adds to a tool call that a rule allows, one after the other with the official client: the same server with
 * the gate before it and bare, in turn, in one run. Its files are in `root`.
 */
export async function mcp(root: string): Promise<void> {
  const script = fileURLToPath(new URL('mcp-server.ts', import.meta.url))
  const args = [...FROM_SOURCE, script, 'stdio']
  const server = await startServer([...FROM_SOURCE, script])
  const command = { command: process.execPath, args }
  const gate = await startGate(root, { address: { url: server.url }, command })
  const throughGate = (name: string) =>
    new StreamableHTTPClientTransport(new URL(`${gate.url}/mcp/${name}`), {
      requestInit: { headers: { authorization: `Bearer ${gate.agentKey}` } },
    })
  const levels = [
    await compare('address', throughGate('address'), new StreamableHTTPClientTransport(new URL(server.url))),
    await compare('command', throughGate('command'), new StdioClientTransport(command)),
  ]
  await gate.close()
  await server.close()
  const machine = hardware()
  writeResults('mcp', { machine, settings: SETTINGS, levels })
  const { cpu, cores, memoryGiB, node } = machine
  console.log(
    [
      '## mcp',
      '',
      '| server by | gate p50 | p99 | bare p50 | p99 | added p50 |',
      '|---|--:|--:|--:|--:|--:|',
      ...levels.map(({ name, countersign, bare, addedP50 }) => {
        const cells = [countersign.p50, countersign.p99, bare.p50, bare.p99, addedP50].map(
          (ms) => `${ms.toFixed(2)} ms`,
        )
        return `| ${[name, ...cells].join(' | ')} |`
      }),
      '',
      `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}.`,
      '',
    ].join('\n'),
  )
}

async function startGate(root: string, servers: object) {
  const dataDir = join(root, 'mcp')
  const policyFile = join(root, 'mcp-policy.yaml')
  const configFile = join(root, 'mcp-countersign.yaml')
  writeFileSync(policyFile, POLICY)
  writeFileSync(configFile, JSON.stringify({ mcp: servers }))
  const files = ['--data', dataDir, '--policy', policyFile, '--config', configFile]
  const { url, close } = await startServer([MAIN, 'up', '--port', '0', ...files])
  const { agentKey } = JSON.parse(readFileSync(join(dataDir, 'owner.json'), 'utf8')) as { agentKey: string }
  return { url, agentKey, close }
}

/** In turn, round by round, so that what else the machine does meets both. */
async function compare(name: string, throughGate: Transport, bare: Transport) {
  const clients = { countersign: await connected(throughGate), bare: await connected(bare) }
  const times: Record<keyof typeof clients, number[]> = { countersign: [], bare: [] }
  for (const client of Object.values(clients)) await measure(client, SETTINGS.warmUpCalls)
  for (let round = 0; round < SETTINGS.rounds; round++)
    for (const who of ['countersign', 'bare'] as const)
      times[who].push(...(await measure(clients[who], SETTINGS.callsPerRound)))
  for (const client of Object.values(clients)) await client.close()
  const [countersign, floor] = [timesOf(times.countersign), timesOf(times.bare)]
  return { name, countersign, bare: floor, addedP50: countersign.p50 - floor.p50 }
}

async function connected(transport: Transport): Promise<Client> {
  const client = new Client({ name: 'bench', version: '1.0.0' })
  await client.connect(transport)
  return client
}

async function measure(client: Client, calls: number): Promise<number[]> {
  const times: number[] = []
  for (let call = 0; call < calls; call++) {
    const start = performance.now()
    const { isError } = await client.callTool({ name: 'read', arguments: { path: `/srv/${call}` } })
    times.push(performance.now() - start)
    if (isError) throw new Error('The tool must answer.')
  }
  return times
}

const timesOf = (times: readonly number[]): Times => ({ p50: quantile(times, 0.5), p99: quantile(times, 0.99) })
