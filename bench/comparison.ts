import { type Load, openLoad } from './load.ts'
import { busyMs, cpuMsOf } from './machine.ts'
import { median, quantile } from './statistics.ts'
import type { Target } from './target.ts'

/** What one contender did in one round, or in the median of the rounds. CPU is null where there is no /proc. */
export interface Measured {
  cyclesPerSecond: number
  resumeMs: { p50: number; p99: number }
  /** CPU time of each of its processes for one cycle, in milliseconds. */
  cpuMsPerCycle: Record<string, number> | null
  /** CPU time in cores, 1 is one core busy all the time: of its processes, of the load driver, of everything here. */
  serverCpu: number | null
  driverCpu: number
  machineCpu: number | null
}

export interface Plan {
  inFlight: readonly number[]
  rounds: number
  secondsPerRound: number
  warmUpSeconds: number
}

export interface Ratio {
  cyclesPerSecond: number
  p50: number
  p99: number
}

export interface Level {
  inFlight: number
  countersign: Measured
  floor: Measured
  ratio: Ratio
  ratiosOfRounds: Ratio[]
}

interface Contender {
  target: Target
  load: Load
}

/**
 * The product beside its floor. Both run all the time and are measured in turn, so that what the machine does meets
 * both alike.
 */
export async function compare(targets: { countersign: Target; floor: Target }, plan: Plan): Promise<Level[]> {
  const contenderOf = async (target: Target): Promise<Contender> => ({ target, load: await openLoad(target) })
  const [countersign, floor] = await Promise.all([contenderOf(targets.countersign), contenderOf(targets.floor)])
  for (const { load } of [countersign, floor]) await load.run(32, plan.warmUpSeconds)
  const levels: Level[] = []
  for (const inFlight of plan.inFlight) {
    const rounds: { countersign: Measured; floor: Measured }[] = []
    for (let round = 1; round <= plan.rounds; round++) {
      rounds.push({
        countersign: await measure(countersign, inFlight, plan.secondsPerRound),
        floor: await measure(floor, inFlight, plan.secondsPerRound),
      })
      console.error(`${inFlight} in flight, round ${round} of ${plan.rounds}`)
    }
    levels.push(summary(inFlight, rounds))
  }
  for (const { load } of [countersign, floor]) load.close()
  return levels
}

async function measure({ target, load }: Contender, inFlight: number, forSeconds: number): Promise<Measured> {
  const names = Object.keys(target.pids)
  const servers = () => names.map((name) => cpuMsOf(target.pids[name]!))
  const serversBefore = servers()
  const machineBefore = busyMs()
  const driverBefore = process.cpuUsage()
  const { cycles, seconds, resumeMs } = await load.run(inFlight, forSeconds)
  const { user, system } = process.cpuUsage(driverBefore)
  const machineMs = difference(machineBefore, busyMs())
  const serversMs = servers().map((after, index) => difference(serversBefore[index], after))
  const isKnown = serversMs.every((ms) => ms !== null)
  return {
    cyclesPerSecond: cycles / seconds,
    resumeMs: { p50: quantile(resumeMs, 0.5), p99: quantile(resumeMs, 0.99) },
    cpuMsPerCycle: isKnown ? Object.fromEntries(names.map((name, index) => [name, serversMs[index]! / cycles])) : null,
    serverCpu: isKnown ? sum(serversMs) / 1000 / seconds : null,
    driverCpu: (user + system) / 1e6 / seconds,
    machineCpu: machineMs === null ? null : machineMs / 1000 / seconds,
  }
}

const difference = (before: number | undefined, after: number | undefined): number | null =>
  before === undefined || after === undefined ? null : after - before

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/** The median of each figure, and of each round's ratio: a round that the machine disturbed disturbs both halves. */
function summary(inFlight: number, rounds: { countersign: Measured; floor: Measured }[]): Level {
  const ratiosOfRounds = rounds.map(({ countersign, floor }) => ({
    cyclesPerSecond: countersign.cyclesPerSecond / floor.cyclesPerSecond,
    p50: countersign.resumeMs.p50 / floor.resumeMs.p50,
    p99: countersign.resumeMs.p99 / floor.resumeMs.p99,
  }))
  return {
    inFlight,
    countersign: middle(rounds.map(({ countersign }) => countersign)),
    floor: middle(rounds.map(({ floor }) => floor)),
    ratio: {
      cyclesPerSecond: median(ratiosOfRounds.map(({ cyclesPerSecond }) => cyclesPerSecond)),
      p50: median(ratiosOfRounds.map(({ p50 }) => p50)),
      p99: median(ratiosOfRounds.map(({ p99 }) => p99)),
    },
    ratiosOfRounds,
  }
}

function middle(all: readonly Measured[]): Measured {
  const orNull = (values: (number | null)[]) => {
    const known = values.filter((value) => value !== null)
    return known.length === 0 ? null : median(known)
  }
  const perProcess = all.map(({ cpuMsPerCycle }) => cpuMsPerCycle).filter((each) => each !== null)
  const names = Object.keys(perProcess[0] ?? {})
  return {
    cyclesPerSecond: median(all.map(({ cyclesPerSecond }) => cyclesPerSecond)),
    resumeMs: {
      p50: median(all.map(({ resumeMs }) => resumeMs.p50)),
      p99: median(all.map(({ resumeMs }) => resumeMs.p99)),
    },
    cpuMsPerCycle:
      names.length === 0
        ? null
        : Object.fromEntries(names.map((name) => [name, median(perProcess.map((each) => each[name] ?? 0))])),
    serverCpu: orNull(all.map(({ serverCpu }) => serverCpu)),
    driverCpu: median(all.map(({ driverCpu }) => driverCpu)),
    machineCpu: orNull(all.map(({ machineCpu }) => machineCpu)),
  }
}
