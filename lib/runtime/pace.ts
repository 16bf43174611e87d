import { performance } from 'node:perf_hooks'

/** How much time of the event loop background work and everybody else may take together before it stands back. */
const BUSY = 0.6
const CALM_MS = 10
const BUSY_MS = 25

/** How background work goes in a process that has somebody waiting for answers as well. */
export interface Pace {
  /** How long to pause before the next piece of work, in milliseconds. */
  pauseMs(): number
}

/** Small pieces with short pauses, and longer ones while the process is busy: who waits for an answer goes first. */
export function politePace(): Pace {
  let last = performance.eventLoopUtilization()
  return {
    pauseMs() {
      const now = performance.eventLoopUtilization()
      const { utilization, active, idle } = performance.eventLoopUtilization(now, last)
      // Too short a time says nothing.
      if (active + idle >= CALM_MS) last = now
      return utilization > BUSY ? BUSY_MS : CALM_MS
    },
  }
}
