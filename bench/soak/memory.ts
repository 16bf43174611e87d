import { readFileSync } from 'node:fs'
import { median } from '../statistics.ts'

const SAMPLE_EVERY_MS = 10_000

export interface MemoryRange {
  min: number
  median: number
  max: number
}

export interface Memory {
  /** Of each process, in MiB, in the first and in the last third of the time. */
  summary(): Record<string, { first: MemoryRange; last: MemoryRange }>
  stop(): void
}

/** Resident memory of processes, whose ids may change: one that started again is the same one here. */
export function watchMemory(pidOf: Readonly<Record<string, () => number>>): Memory {
  const samples = new Map(Object.keys(pidOf).map((name) => [name, [] as number[]]))
  const sample = () => {
    for (const [name, pid] of Object.entries(pidOf)) {
      const mib = residentMiB(pid())
      if (mib !== undefined) samples.get(name)?.push(mib)
    }
  }
  const timer = setInterval(sample, SAMPLE_EVERY_MS)
  return {
    summary: () =>
      Object.fromEntries(
        [...samples].map(([name, values]) => {
          const third = Math.max(1, Math.floor(values.length / 3))
          return [name, { first: rangeOf(values.slice(0, third)), last: rangeOf(values.slice(-third)) }]
        }),
      ),
    stop: () => clearInterval(timer),
  }
}

const rangeOf = (values: readonly number[]): MemoryRange => ({
  min: Math.min(...values),
  median: median(values),
  max: Math.max(...values),
})

/** Undefined while it is not running. */
function residentMiB(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kib === undefined ? undefined : Number(kib) / 1024
  } catch {
    return undefined
  }
}
