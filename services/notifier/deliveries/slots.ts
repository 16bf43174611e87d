import { RecentMap } from '../../../lib/core/recent-map.ts'

/** Attempts in flight, in all and at one endpoint. */
const MAX_IN_FLIGHT = 32
const MAX_PER_ENDPOINT = 4
/** Endpoints whose latest attempt did not succeed have this much room together, and each has room for one. */
const MAX_DOUBTFUL = 16
const REMEMBERED = 10_000

/**
 * Who may begin an attempt. An endpoint has to succeed before it may have several in flight, and all those that do not
 * leave half of the room free: however many hang, there is room for one that works.
 */
export class Slots {
  readonly #inFlight = new Map<string, number>()
  readonly #sound = new RecentMap<string, true>(REMEMBERED)
  #total = 0

  get inFlight(): number {
    return this.#total
  }

  /**
   * Shares what is free between these endpoints, one by one in turn; who has the fewest in flight goes first. Takes
   * nothing yet.
   */
  share(endpoints: readonly string[]): Map<string, number> {
    const shares = new Map<string, number>()
    const queue = [...endpoints].sort((a, b) => this.#countOf(a) - this.#countOf(b))
    let free = MAX_IN_FLIGHT - this.#total
    let freeForDoubtful = MAX_DOUBTFUL - this.#inFlightOfDoubtful()
    for (let round = 0; round < MAX_PER_ENDPOINT && free > 0; round++)
      for (const endpoint of queue) {
        const share = shares.get(endpoint) ?? 0
        const isSound = this.#sound.has(endpoint)
        if (share + this.#countOf(endpoint) >= (isSound ? MAX_PER_ENDPOINT : 1)) continue
        if (free <= 0 || (!isSound && freeForDoubtful <= 0)) continue
        shares.set(endpoint, share + 1)
        free -= 1
        if (!isSound) freeForDoubtful -= 1
      }
    return shares
  }

  begin(endpoint: string): void {
    this.#total += 1
    this.#inFlight.set(endpoint, this.#countOf(endpoint) + 1)
  }

  end(endpoint: string, succeeded: boolean): void {
    this.#total -= 1
    const left = this.#countOf(endpoint) - 1
    if (left === 0) this.#inFlight.delete(endpoint)
    else this.#inFlight.set(endpoint, left)
    if (succeeded) this.#sound.set(endpoint, true)
    else this.#sound.delete(endpoint)
  }

  #countOf(endpoint: string): number {
    return this.#inFlight.get(endpoint) ?? 0
  }

  #inFlightOfDoubtful(): number {
    let count = 0
    for (const [endpoint, inFlight] of this.#inFlight) if (!this.#sound.has(endpoint)) count += inFlight
    return count
  }
}
