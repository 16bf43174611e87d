import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Load, openLoad } from './load.ts'
import { cpuMsOf, machine } from './machine.ts'
import { median, quantile } from './statistics.ts'
import { startCountersign, startFloor, type Target } from './target.ts'

/**
 * Embedded Countersign beside its floor, in one run: durable cycles a second and the time from a decision to the
 * resumed call. Both run all the time and are measured in turn, so that what the machine does meets both alike.
 */
const IN_FLIGHT = [1, 32, 100]
const ROUNDS = 5
const SECONDS = 2.5
const WARM_UP_SECONDS = 6
const RESULTS = fileURLToPath(new URL('results/embedded.json', import.meta.url))

interface Measured {
  cyclesPerSecond: number
  resumeMs: { p50: number; p99: number }
  /** CPU time, in cores: 1 is one core busy all the time. */
  serverCpu: number | null
  driverCpu: number
  /** CPU time of the server for one cycle, in milliseconds. */
  serverCpuMsPerCycle: number | null
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const root = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
process.once('exit', () => rmSync(root, { recursive: true, force: true }))

const facts = machine(root)
const contenders = await Promise.all(
  [startCountersign, startFloor].map(async (start) => {
    const target = await start(root)
    return { target, load: await openLoad(target) }
  }),
)
const [product, floor] = contenders
if (!product || !floor) throw new Error('both must run')

for (const { load } of contenders) await load.run(32, WARM_UP_SECONDS)
const levels: ReturnType<typeof summary>[] = []
for (const inFlight of IN_FLIGHT) {
  const rounds: { countersign: Measured; floor: Measured }[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    rounds.push({ countersign: await measure(product, inFlight), floor: await measure(floor, inFlight) })
    console.error(`${inFlight} in flight, round ${round} of ${ROUNDS}`)
  }
  levels.push(summary(inFlight, rounds))
}
for (const { target, load } of contenders) {
  load.close()
  await target.close()
}

mkdirSync(join(RESULTS, '..'), { recursive: true })
const settings = { rounds: ROUNDS, secondsPerRound: SECONDS, warmUpSeconds: WARM_UP_SECONDS }
writeFileSync(
  RESULTS,
  `${JSON.stringify({ date: new Date().toISOString(), machine: facts, settings, levels }, rounded, 2)}\n`,
)
console.log(table())

async function measure({ target, load }: { target: Target; load: Load }, inFlight: number): Promise<Measured> {
  const serverBefore = cpuMsOf(target.pid)
  const driverBefore = process.cpuUsage()
  const { cycles, seconds, resumeMs } = await load.run(inFlight, SECONDS)
  const { user, system } = process.cpuUsage(driverBefore)
  const serverAfter = cpuMsOf(target.pid)
  const serverMs = serverBefore === undefined || serverAfter === undefined ? null : serverAfter - serverBefore
  return {
    cyclesPerSecond: cycles / seconds,
    resumeMs: { p50: quantile(resumeMs, 0.5), p99: quantile(resumeMs, 0.99) },
    serverCpu: serverMs === null ? null : serverMs / 1000 / seconds,
    driverCpu: (user + system) / 1e6 / seconds,
    serverCpuMsPerCycle: serverMs === null ? null : serverMs / cycles,
  }
}

/** The median of each figure, and of each round's ratio: a round that the machine disturbed disturbs both halves. */
function summary(inFlight: number, rounds: { countersign: Measured; floor: Measured }[]) {
  const of = (name: 'countersign' | 'floor') => middle(rounds.map((round) => round[name]))
  const ratios = rounds.map(({ countersign, floor }) => ({
    cyclesPerSecond: countersign.cyclesPerSecond / floor.cyclesPerSecond,
    p50: countersign.resumeMs.p50 / floor.resumeMs.p50,
    p99: countersign.resumeMs.p99 / floor.resumeMs.p99,
  }))
  const ratio = {
    cyclesPerSecond: median(ratios.map(({ cyclesPerSecond }) => cyclesPerSecond)),
    p50: median(ratios.map(({ p50 }) => p50)),
    p99: median(ratios.map(({ p99 }) => p99)),
  }
  return { inFlight, countersign: of('countersign'), floor: of('floor'), ratio, ratiosOfRounds: ratios }
}

function middle(all: readonly Measured[]): Measured {
  const known = (values: (number | null)[]) => values.filter((value) => value !== null)
  const orNull = (values: number[]) => (values.length === 0 ? null : median(values))
  return {
    cyclesPerSecond: median(all.map(({ cyclesPerSecond }) => cyclesPerSecond)),
    resumeMs: {
      p50: median(all.map(({ resumeMs }) => resumeMs.p50)),
      p99: median(all.map(({ resumeMs }) => resumeMs.p99)),
    },
    serverCpu: orNull(known(all.map(({ serverCpu }) => serverCpu))),
    driverCpu: median(all.map(({ driverCpu }) => driverCpu)),
    serverCpuMsPerCycle: orNull(known(all.map(({ serverCpuMsPerCycle }) => serverCpuMsPerCycle))),
  }
}

function table(): string {
  const header = ['in flight', '', 'cycles/s', 'resume p50', 'p99', 'server CPU', 'driver CPU', 'CPU/cycle']
  const shares = (share: number | null) => (share === null ? '' : `${Math.round(share * 100)} %`)
  const ms = (value: number | null) => (value === null ? '' : `${value.toFixed(2)} ms`)
  const row = (inFlight: number, name: string, measured: Measured) => [
    String(inFlight),
    name,
    measured.cyclesPerSecond.toFixed(0),
    ms(measured.resumeMs.p50),
    ms(measured.resumeMs.p99),
    shares(measured.serverCpu),
    shares(measured.driverCpu),
    ms(measured.serverCpuMsPerCycle),
  ]
  const times = (value: number) => `${value.toFixed(2)} ×`
  const lines = levels.flatMap(({ inFlight, countersign, floor, ratio }) => [
    row(inFlight, 'countersign', countersign),
    row(inFlight, 'floor', floor),
    ['', 'ratio', times(ratio.cyclesPerSecond), times(ratio.p50), times(ratio.p99), '', '', ''],
  ])
  const { cpu, cores, memoryGiB, node, commitMs } = facts
  return [
    `| ${header.join(' | ')} |`,
    `|${header.map((_, column) => (column === 1 ? '---' : '--:')).join('|')}|`,
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}; one durable commit ${ms(commitMs.p50)} (p99 ${ms(commitMs.p99)}).`,
  ].join('\n')
}

/** Four digits say all that a figure knows. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}
