/** What a call spends: one of `limit` within any `windowMs`, counted by `key`. */
export interface Spending {
  key: string
  limit: number
  windowMs: number
}

export type Taken =
  /** `at` is what `giveBack` wants. */
  | { ok: true; at: number }
  /** The first spending that was refused, and the soonest that it may be let through. */
  | { ok: false; key: string; retryAfterMs: number }

/** A window is counted in this many slots: so coarse is the moment when a use comes free, at most. */
const SLOTS = 64
const SWEEP_EVERY_MS = 1_000

interface Count {
  windowMs: number
  slotMs: number
  /** Oldest first. */
  slots: { slot: number; uses: number }[]
}

/**
 * Counts uses in sliding windows. No window of any length-`windowMs` holds more than `limit`: a slot counts until the
 * last moment in it has left the window, so a use comes free up to 1/64 of the window late, never early. (The generic
 * cell rate algorithm, ITU-T I.371, needs one number a key, and lets almost twice the limit through in one window.)
 * At most `maxKeys` keys of 64 slots; when all of them are in use, a key that is not known is refused.
 * The clock is the caller's; time that goes back counts as standing still.
 */
export class RateWindow {
  readonly #counts = new Map<string, Count>()
  readonly #maxKeys: number
  #now = Number.NEGATIVE_INFINITY
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor({ maxKeys = 100_000 } = {}) {
    this.#maxKeys = maxKeys
  }

  /** Number of keys that are held. */
  get size(): number {
    return this.#counts.size
  }

  /** Takes one use of every spending, or none of any. `now` is in milliseconds. */
  tryTake(spendings: readonly Spending[], now: number): Taken {
    this.#now = Math.max(this.#now, now)
    for (const spending of spendings) {
      const retryAfterMs = this.#waitFor(spending)
      if (retryAfterMs > 0) return { ok: false, key: spending.key, retryAfterMs }
    }
    for (const spending of spendings) this.#take(spending)
    return { ok: true, at: this.#now }
  }

  /** Undoes one `tryTake`, for a call that was not forwarded after all. To be called once for it. */
  giveBack(spendings: readonly Spending[], at: number): void {
    for (const spending of spendings) {
      const count = this.#counts.get(nameOf(spending))
      const taken = count?.slots.find(({ slot }) => slot === Math.floor(at / count.slotMs))
      if (taken && taken.uses > 0) taken.uses--
    }
  }

  /** 0 when a use is free now. */
  #waitFor(spending: Spending): number {
    const count = this.#counts.get(nameOf(spending))
    if (!count) return this.#hasRoom() ? 0 : SWEEP_EVERY_MS
    this.#expire(count)
    let uses = count.slots.reduce((sum, slot) => sum + slot.uses, 0)
    for (const { slot, uses: inSlot } of count.slots) {
      if (uses < spending.limit) return 0
      uses -= inSlot
      if (uses < spending.limit) return leavesAt(count, slot) - this.#now
    }
    return 0
  }

  #take(spending: Spending): void {
    const name = nameOf(spending)
    const { windowMs } = spending
    const count = this.#counts.get(name) ?? { windowMs, slotMs: Math.max(1, Math.ceil(windowMs / SLOTS)), slots: [] }
    this.#counts.set(name, count)
    const slot = Math.floor(this.#now / count.slotMs)
    const last = count.slots.at(-1)
    if (last?.slot === slot) last.uses++
    else count.slots.push({ slot, uses: 1 })
  }

  #expire(count: Count): void {
    while (count.slots[0] && leavesAt(count, count.slots[0].slot) <= this.#now) count.slots.shift()
  }

  #hasRoom(): boolean {
    if (this.#counts.size < this.#maxKeys) return true
    if (this.#now - this.#sweptAt < SWEEP_EVERY_MS) return false
    this.#sweptAt = this.#now
    for (const [name, count] of this.#counts) {
      this.#expire(count)
      if (count.slots.every(({ uses }) => uses === 0)) this.#counts.delete(name)
    }
    return this.#counts.size < this.#maxKeys
  }
}

/** A limit over another window is another count: it begins anew when a policy changes it. */
const nameOf = ({ key, windowMs }: Spending): string => `${key} ${windowMs}`

/** The first moment at which nothing that happened in the slot is in the window. */
const leavesAt = ({ slotMs, windowMs }: Count, slot: number): number => (slot + 1) * slotMs - 1 + windowMs
