import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'
import { quantile } from './statistics.ts'

/** What a reader must know of the machine to place a figure. */
export interface Hardware {
  cpu: string
  cores: number
  memoryGiB: number
  node: string
  platform: string
}

/** The same, where figures wait for the disk. */
export interface Machine extends Hardware {
  /** One small durable SQLite transaction after the other, in milliseconds. */
  commitMs: { p50: number; p99: number }
}

const TMPFS = 0x01021994
const COMMITS = 300
/** /proc counts CPU time in ticks of 10 ms: USER_HZ is 100 on every Linux. */
const TICK_MS = 10

/** `directory` is where the servers will write. Throws when that is memory, where a commit costs nothing. */
export function machine(directory: string): Machine {
  if (statfsSync(directory).type === TMPFS)
    throw new Error(`${directory} is in memory, so nothing is synced to a disk there: set TMPDIR to a place on a disk`)
  return { ...hardware(), commitMs: commitTimes(directory) }
}

export const hardware = (): Hardware => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
})

function commitTimes(directory: string): Machine['commitMs'] {
  const own = mkdtempSync(join(directory, 'commits-'))
  const db = new DatabaseSync(join(own, 'commits.db'))
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (value TEXT)')
    const insert = db.prepare('INSERT INTO rows VALUES (?)')
    const value = 'x'.repeat(500)
    const times = Array.from({ length: COMMITS }, () => {
      const start = performance.now()
      insert.run(value)
      return performance.now() - start
    })
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
  } finally {
    db.close()
    rmSync(own, { recursive: true, force: true })
  }
}

/** CPU time that a process has used so far, in milliseconds; undefined where there is no /proc. */
export function cpuMsOf(pid: number): number | undefined {
  try {
    // The name in parentheses may hold spaces; after it, utime and stime are the 12th and 13th field.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return undefined
  }
}

/** CPU time that everything on this machine has used so far, in milliseconds; undefined where there is no /proc. */
export function busyMs(): number | undefined {
  try {
    // user nice system idle iowait irq softirq: all but those that wait.
    const [, user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'utf8').split(/\s+/, 8).map(Number)
    return [user, nice, system, irq, softirq].reduce<number>((total, ticks) => total + (ticks ?? 0), 0) * TICK_MS
  } catch {
    return undefined
  }
}
