import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Level, Measured, Plan } from './comparison.ts'
import type { Machine } from './machine.ts'

/** Writes `results/<name>.json` and prints the table. `more` are facts beside the machine's. */
export function report(
  name: string,
  results: { machine: Machine; settings: Plan; levels: readonly Level[]; more?: Record<string, unknown> },
): void {
  const { machine, settings, levels, more = {} } = results
  writeResults(name, { machine, ...more, settings, levels })
  const { cpu, cores, memoryGiB, node, commitMs } = machine
  console.log(
    [
      `## ${name}`,
      '',
      ...table(levels),
      '',
      `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}; one durable commit ${ms(commitMs.p50)} (p99 ${ms(commitMs.p99)}).`,
      '',
    ].join('\n'),
  )
}

/** Writes `results/<name>.json` with the date. */
export function writeResults(name: string, results: object): void {
  const file = fileURLToPath(new URL(`results/${name}.json`, import.meta.url))
  mkdirSync(fileURLToPath(new URL('results', import.meta.url)), { recursive: true })
  writeFileSync(file, `${JSON.stringify({ date: new Date().toISOString(), ...results }, rounded, 2)}\n`)
}

function table(levels: readonly Level[]): string[] {
  const header = ['in flight', '', 'cycles/s', 'resume p50', 'p99', 'servers', 'driver', 'machine', 'CPU per cycle']
  const row = (inFlight: number, name: string, measured: Measured) => [
    String(inFlight),
    name,
    measured.cyclesPerSecond.toFixed(0),
    ms(measured.resumeMs.p50),
    ms(measured.resumeMs.p99),
    share(measured.serverCpu),
    share(measured.driverCpu),
    share(measured.machineCpu),
    Object.entries(measured.cpuMsPerCycle ?? {})
      .map(([process, cpuMs]) => `${process} ${ms(cpuMs)}`)
      .join(', '),
  ]
  const lines = levels.flatMap(({ inFlight, countersign, floor, ratio }) => [
    row(inFlight, 'countersign', countersign),
    row(inFlight, 'floor', floor),
    ['', 'ratio', times(ratio.cyclesPerSecond), times(ratio.p50), times(ratio.p99), '', '', '', ''],
  ])
  return [
    `| ${header.join(' | ')} |`,
    `|${header.map((_, column) => (column === 1 || column === 8 ? '---' : '--:')).join('|')}|`,
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
  ]
}

const ms = (value: number): string => `${value.toFixed(2)} ms`
const times = (value: number): string => `${value.toFixed(2)} ×`
const share = (value: number | null): string => (value === null ? '' : `${Math.round(value * 100)} %`)

/** Four digits say all that a figure knows. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}
