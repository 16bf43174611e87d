import type { Clock } from '../../lib/ports/clock.ts'

/** Turns of the event loop in which what is under way in this process comes to rest. */
const REST = 20

/** Time that stands still, but for who waits for something: then it goes from timer to timer. */
export class HandClock implements Clock {
  #now: number
  #timers: { at: number; callback: () => void }[] = []

  constructor(now: number) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }

  /** Goes on until it holds, at most so far. */
  async until(holds: () => boolean, withinMs: number): Promise<void> {
    const end = this.#now + withinMs
    while (!holds()) {
      await rest()
      if (holds()) return
      const next = this.#next()
      if (!next || next.at > end) throw new Error(`it did not hold within ${withinMs} ms`)
      this.#fire(next)
    }
  }

  /** Goes on for so long. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await rest()
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) {
      this.#fire(next)
      await rest()
    }
    this.#now = end
  }

  /** So much later at once: what was due meanwhile is late. */
  leap(ms: number): void {
    this.#now += Math.max(0, ms)
  }

  #next() {
    return this.#timers.reduce<{ at: number; callback: () => void } | undefined>(
      (first, each) => (first && first.at <= each.at ? first : each),
      undefined,
    )
  }

  #fire(timer: { at: number; callback: () => void }): void {
    this.#timers = this.#timers.filter((each) => each !== timer)
    this.#now = Math.max(this.#now, timer.at)
    timer.callback()
  }
}

async function rest(): Promise<void> {
  for (let turn = 0; turn < REST; turn++) await new Promise((resolve) => setImmediate(resolve))
}
