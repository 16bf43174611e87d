import type { Clock } from '../ports/clock.ts'

/** setTimeout fires at once past this many milliseconds. */
const LONGEST_TIMER_MS = 2_147_483_647

/** The machine's clock. Timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const dueAt = performance.now() + ms
    let timer: NodeJS.Timeout
    const arm = () => {
      const left = Math.max(0, dueAt - performance.now())
      timer = setTimeout(left > LONGEST_TIMER_MS ? arm : callback, Math.min(left, LONGEST_TIMER_MS))
      timer.unref()
    }
    arm()
    return () => clearTimeout(timer)
  },
}
