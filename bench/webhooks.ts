import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Agent } from 'undici'
import { machine } from './machine.ts'
import { writeResults } from './report.ts'
import { type Server, startServer } from './server.ts'
import { median, quantile } from './statistics.ts'
import { FROM_SOURCE, MAIN, POLICY } from './target.ts'

const PLAN = { rounds: 5, callsPerRound: 200, inFlight: [1, 20], burst: 1_000 }
const WAIT_MS = 10 * 60_000

interface Latency {
  p50: number
  p99: number
}

/** A server, and the agent that calls it. */
interface Contender extends Server {
  agentKey: string
}

/**
 * What agents feel of twenty webhook endpoints, of which five fail, three hang and one redirects: the time of a call that
 * asks and does not wait, beside a server without endpoints, in turn; and how long a burst takes to arrive.
 */
export async function webhooks(root: string): Promise<void> {
  const facts = machine(root)
  const receivers = await startServer([...FROM_SOURCE, fileURLToPath(new URL('webhook-receivers.ts', import.meta.url))])
  const { urls } = await stateOf(receivers)
  const [none, twenty] = await Promise.all([startUp(root, 'none', []), startUp(root, 'twenty', urls)])
  const agent = new Agent()
  let calls = 0

  async function call({ url, agentKey }: Contender): Promise<number> {
    const body = JSON.stringify({ tool: 'stripe.refund', args: { charge: `ch_${calls}`, amount: ++calls } })
    const headers = { authorization: `Bearer ${agentKey}`, 'content-type': 'application/json', prefer: 'respond-async' }
    const start = performance.now()
    const answer = await agent.request({ origin: url, path: '/v1/actions', method: 'POST', headers, body })
    await answer.body.dump()
    if (answer.statusCode !== 202) throw new Error(`a call was answered ${answer.statusCode}`)
    return performance.now() - start
  }
  async function run(contender: Contender, count: number, inFlight: number): Promise<Latency> {
    const ms: number[] = []
    let left = count
    const work = async () => {
      while (left-- > 0) ms.push(await call(contender))
    }
    await Promise.all(Array.from({ length: inFlight }, work))
    return { p50: quantile(ms, 0.5), p99: quantile(ms, 0.99) }
  }

  await Promise.all([run(none, PLAN.callsPerRound, 10), run(twenty, PLAN.callsPerRound, 10)])
  const levels = []
  for (const inFlight of PLAN.inFlight) {
    const rounds: { without: Latency; with: Latency }[] = []
    for (let round = 0; round < PLAN.rounds; round++)
      rounds.push({
        without: await run(none, PLAN.callsPerRound, inFlight),
        with: await run(twenty, PLAN.callsPerRound, inFlight),
      })
    const middle = (pick: (round: (typeof rounds)[number]) => number) => median(rounds.map(pick))
    levels.push({
      inFlight,
      without: { p50: middle((each) => each.without.p50), p99: middle((each) => each.without.p99) },
      with: { p50: middle((each) => each.with.p50), p99: middle((each) => each.with.p99) },
      ratio: {
        p50: middle((each) => each.with.p50 / each.without.p50),
        p99: middle((each) => each.with.p99 / each.without.p99),
      },
    })
  }

  const asked = PLAN.callsPerRound * (1 + PLAN.rounds * PLAN.inFlight.length)
  await arrived(receivers, asked)
  const start = performance.now()
  const agents = await run(twenty, PLAN.burst, 50)
  const askedSeconds = (performance.now() - start) / 1000
  await arrived(receivers, asked + PLAN.burst)
  const arrivedSeconds = (performance.now() - start) / 1000
  const burst = { approvals: PLAN.burst, agents, askedSeconds, arrivedSeconds }

  await Promise.all([none.close(), twenty.close(), receivers.close(), agent.close()])
  writeResults('webhooks', { machine: facts, settings: PLAN, levels, burst })
  for (const { inFlight, without, with: withTwenty, ratio } of levels)
    console.log(
      `${inFlight} in flight: without endpoints p50 ${without.p50.toFixed(2)} ms, p99 ${without.p99.toFixed(2)} ms; with twenty ` +
        `p50 ${withTwenty.p50.toFixed(2)} ms, p99 ${withTwenty.p99.toFixed(2)} ms; ratio ${ratio.p50.toFixed(2)} and ${ratio.p99.toFixed(2)}`,
    )
  console.log(
    `${PLAN.burst} approvals at once were asked in ${askedSeconds.toFixed(1)} s and had arrived at each good endpoint after ${arrivedSeconds.toFixed(1)} s`,
  )
}

interface State {
  urls: string[]
  counts: number[]
  /** How many of the first take everything. */
  good: number
}

const stateOf = async ({ url }: Server): Promise<State> => (await (await fetch(url)).json()) as State

/** Resolves when each good receiver has had so many. */
async function arrived(receivers: Server, count: number): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    const { counts, good } = await stateOf(receivers)
    if (counts.slice(0, good).every((each) => each >= count)) return
    if (performance.now() > deadline) throw new Error(`not everything arrived: ${counts.join(', ')} of ${count}`)
    await once(AbortSignal.timeout(50), 'abort')
  }
}

async function startUp(root: string, name: string, urls: readonly string[]): Promise<Contender> {
  const dataDir = join(root, `webhooks-${name}`)
  const policyFile = join(root, `webhooks-${name}.policy.yaml`)
  const configFile = join(root, `webhooks-${name}.yaml`)
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  writeFileSync(policyFile, POLICY.replace('timeout: 5m', 'timeout: 1h'))
  writeFileSync(
    configFile,
    JSON.stringify({
      gate: { maxHolds: 100_000, maxHoldsPerAgent: 100_000 },
      network: { allowPrivate: ['127.0.0.1'] },
      webhooks: urls.map((url, index) => ({ id: `hook-${index}`, url, secret })),
    }),
  )
  const files = ['--data', dataDir, '--policy', policyFile, '--config', configFile]
  const server = await startServer([MAIN, 'up', '--port', '0', ...files], { env: { COUNTERSIGN_LOG_LEVEL: 'warn' } })
  const { agentKey } = JSON.parse(readFileSync(join(dataDir, 'owner.json'), 'utf8'))
  return { ...server, agentKey }
}
