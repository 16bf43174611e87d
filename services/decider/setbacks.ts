import { RecentMap } from '../../lib/core/recent-map.ts'

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000
const REMEMBERED = 1_000

/** The records that could not be swept, at most 1,000: each is left alone for a while, so that those behind it are reached. */
export class Setbacks {
  readonly #byId = new RecentMap<string, { until: number; pauseMs: number }>(REMEMBERED)

  get size(): number {
    return this.#byId.size
  }

  get isFull(): boolean {
    return this.#byId.size >= REMEMBERED
  }

  /** The pause is longer each time, but not where it is the store that is away. */
  note(id: string, { now, isAway }: { now: number; isAway: boolean }): void {
    const before = this.#byId.get(id)?.pauseMs ?? 0
    const pauseMs = isAway ? FIRST_PAUSE_MS : Math.min(Math.max(before * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
    this.#byId.set(id, { until: now + pauseMs, pauseMs })
  }

  forget(id: string): void {
    this.#byId.delete(id)
  }

  isLeftAlone(id: string, now: number): boolean {
    return now < (this.#byId.get(id)?.until ?? Number.NEGATIVE_INFINITY)
  }
}
