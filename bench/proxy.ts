import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Pool } from 'undici'
import { cpuMsOf, hardware } from './machine.ts'
import { writeResults } from './report.ts'
import { type Server, startServer } from './server.ts'
import { median, quantile } from './statistics.ts'
import { FROM_SOURCE, MAIN } from './target.ts'

const SETTINGS = { inFlight: [1, 32], rounds: 7, secondsPerRound: 2, warmUpSeconds: 4 }
const BODY = JSON.stringify({ amount: 50, currency: 'eur', note: 'x'.repeat(900) })
const CALLS = {
  GET: { method: 'GET', path: '/v1/charges/ch_1?expand=customer', body: null },
  POST: { method: 'POST', path: '/v1/charges', body: BODY },
} as const
type CallName = keyof typeof CALLS

/** Rules that look at what passes, and let it. */
const POLICY = `
version: 1
default: allow
rules:
  - { id: refunds, match: { path: "/v1/refunds/*" }, action: require_approval, risk: high }
  - { id: deletes, match: { method: DELETE }, action: require_approval }
  - { id: large, match: { path: "/v1/charges", method: POST }, when: [{ path: body.amount, gt: 1000 }], action: require_approval }
  - { id: no-admin, match: { path: "/admin/*" }, action: deny }
  - { id: reads, match: { method: GET }, action: allow }
`

interface Contender {
  pool: Pool
  prefix: string
  headers: Record<string, string>
  pid: number
}

interface Measured {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
  cpuMsPerRequest: number | null
}

/**
 * Calls that a rule allows through `/proxy`, beside the same calls through bare @fastify/http-proxy and straight to the
 * upstream, in one run and in turn. The files of the server are in `root`.
 */
export async function proxy(root: string): Promise<void> {
  const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))
  const upstream = await startServer([...FROM_SOURCE, script('proxy-upstream.ts')])
  const floor = await startServer([...FROM_SOURCE, script('floor-proxy.ts'), upstream.url])
  const { server, key } = await startCountersign(root, upstream.url)
  const contenders = {
    countersign: contenderOf(server, '/proxy/api', { authorization: `Bearer ${key}` }),
    floor: contenderOf(floor, '/proxy/api', {}),
    direct: contenderOf(upstream, '', {}),
  }
  const names = Object.keys(contenders) as (keyof typeof contenders)[]
  for (const call of Object.keys(CALLS) as CallName[])
    for (const name of names) await measure(contenders[name], call, 32, SETTINGS.warmUpSeconds)

  const levels = []
  for (const call of Object.keys(CALLS) as CallName[])
    for (const inFlight of SETTINGS.inFlight) {
      const rounds: Record<keyof typeof contenders, Measured>[] = []
      for (let round = 1; round <= SETTINGS.rounds; round++) {
        const measured = {} as Record<keyof typeof contenders, Measured>
        for (const name of names)
          measured[name] = await measure(contenders[name], call, inFlight, SETTINGS.secondsPerRound)
        rounds.push(measured)
        console.error(`${call}, ${inFlight} in flight, round ${round} of ${SETTINGS.rounds}`)
      }
      levels.push({
        call,
        inFlight,
        ...Object.fromEntries(names.map((name) => [name, summary(rounds.map((each) => each[name]))])),
        ratio: {
          requestsPerSecond: median(
            rounds.map(({ countersign, floor }) => countersign.requestsPerSecond / floor.requestsPerSecond),
          ),
        },
        addedP50Ms: {
          overFloor: median(rounds.map(({ countersign, floor }) => countersign.p50Ms - floor.p50Ms)),
          overDirect: median(rounds.map(({ countersign, direct }) => countersign.p50Ms - direct.p50Ms)),
        },
      })
    }
  for (const { pool } of Object.values(contenders)) await pool.destroy()
  for (const each of [server, floor, upstream]) await each.close()
  writeResults('proxy', { machine: hardware(), settings: SETTINGS, levels })
  print(levels as unknown as Level[])
}

async function startCountersign(root: string, upstreamUrl: string): Promise<{ server: Server; key: string }> {
  const dataDir = join(root, 'proxy')
  const policyFile = join(root, 'proxy-policy.yaml')
  const configFile = join(root, 'proxy-countersign.yaml')
  writeFileSync(policyFile, POLICY)
  writeFileSync(configFile, `upstreams: { api: { url: "${upstreamUrl}", headers: { x-key: "of the upstream" } } }\n`)
  const files = ['--data', dataDir, '--policy', policyFile, '--config', configFile]
  const server = await startServer([MAIN, 'up', '--port', '0', ...files], { env: { NODE_ENV: 'production' } })
  return { server, key: JSON.parse(readFileSync(join(dataDir, 'owner.json'), 'utf8')).agentKey }
}

const contenderOf = ({ url, pid }: Server, prefix: string, headers: Record<string, string>): Contender => ({
  pool: new Pool(url, { connections: 64, pipelining: 1 }),
  ...{ prefix, headers, pid },
})

async function measure(contender: Contender, name: CallName, inFlight: number, seconds: number): Promise<Measured> {
  const { method, path, body } = CALLS[name]
  const options = {
    method,
    path: contender.prefix + path,
    headers: { ...contender.headers, ...(body === null ? {} : { 'content-type': 'application/json' }) },
    body,
  }
  const times: number[] = []
  const cpuBefore = cpuMsOf(contender.pid)
  const start = performance.now()
  const end = start + seconds * 1_000
  const work = async () => {
    for (let begun = performance.now(); begun < end; begun = performance.now()) {
      const { statusCode, body: answer } = await contender.pool.request(options)
      await answer.dump()
      if (statusCode !== 200) throw new Error(`${path} was answered ${statusCode}`)
      times.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, work))
  const elapsed = (performance.now() - start) / 1_000
  const cpuAfter = cpuMsOf(contender.pid)
  return {
    requestsPerSecond: times.length / elapsed,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    cpuMsPerRequest: cpuBefore === undefined || cpuAfter === undefined ? null : (cpuAfter - cpuBefore) / times.length,
  }
}

function summary(rounds: readonly Measured[]): Measured {
  const of = (key: 'requestsPerSecond' | 'p50Ms' | 'p99Ms') => median(rounds.map((round) => round[key]))
  const cpu = rounds.map(({ cpuMsPerRequest }) => cpuMsPerRequest)
  return {
    requestsPerSecond: of('requestsPerSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    cpuMsPerRequest: cpu.includes(null) ? null : median(cpu as number[]),
  }
}

interface Level extends Record<'countersign' | 'floor' | 'direct', Measured> {
  call: CallName
  inFlight: number
  ratio: { requestsPerSecond: number }
  addedP50Ms: { overFloor: number; overDirect: number }
}

function print(levels: readonly Level[]): void {
  const ms = (value: number) => `${value.toFixed(2)} ms`
  const rows = levels.flatMap(({ call, inFlight, ratio, addedP50Ms, ...measured }) => [
    ...(['countersign', 'floor', 'direct'] as const).map((name) => {
      const { requestsPerSecond, p50Ms, p99Ms, cpuMsPerRequest } = measured[name]
      const cpu = cpuMsPerRequest === null ? '' : ms(cpuMsPerRequest)
      return [call, inFlight, name, requestsPerSecond.toFixed(0), ms(p50Ms), ms(p99Ms), cpu]
    }),
    ['', '', 'ratio, added to the floor', `${ratio.requestsPerSecond.toFixed(2)} ×`, ms(addedP50Ms.overFloor), '', ''],
  ])
  console.log(
    [
      '## proxy',
      '',
      '| call | in flight |  | requests/s | p50 | p99 | CPU per request |',
      '|---|--:|---|--:|--:|--:|--:|',
      ...rows.map((cells) => `| ${cells.join(' | ')} |`),
      '',
    ].join('\n'),
  )
}
