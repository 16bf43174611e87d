import { RecentMap } from '../../../lib/core/recent-map.ts'
import { isAgentCallback } from './agent-callbacks.ts'

/** Attempts in flight, in all and at one endpoint. */
const MAX_IN_FLIGHT = 32
const MAX_PER_ENDPOINT = 4
/** Endpoints whose latest attempt did not succeed have this much room together, and each has room for one. */
const MAX_DOUBTFUL = 16
/** What agents name has this much together: they could name ever new hosts. */
const MAX_AGENT_CALLBACKS = 4
const REMEMBERED = 10_000

/**
 * Who may begin an attempt. An endpoint has to succeed before it may have several in flight, and all those that do not
 * leave half of the room free: however many hang, there is room for one that works. Who began longest ago goes first, so
 * that each of those that hang, and each that is new, has its turn.
 */
export class Slots {
  readonly #inFlight = new Map<string, number>()
  readonly #sound = new RecentMap<string, true>(REMEMBERED)
  /** The number of its latest attempt, among all. */
  readonly #begunAs = new RecentMap<string, number>(REMEMBERED)
  #begun = 0
  #total = 0

  get inFlight(): number {
    return this.#total
  }

  /**
   * Shares what is free between these endpoints, one by one in turn; who has the fewest in flight goes first, and of
   * those who began longest ago. Takes nothing yet.
   */
  share(endpoints: readonly string[]): Map<string, number> {
    const shares = new Map<string, number>()
    const queue = [...endpoints].sort(
      (a, b) => this.#countOf(a) - this.#countOf(b) || this.#latestOf(a) - this.#latestOf(b),
    )
    let free = MAX_IN_FLIGHT - this.#total
    let freeForDoubtful = MAX_DOUBTFUL - this.#inFlightOf((endpoint) => !this.#sound.has(endpoint))
    let freeForAgents = MAX_AGENT_CALLBACKS - this.#inFlightOf(isAgentCallback)
    for (let round = 0; round < MAX_PER_ENDPOINT && free > 0; round++)
      for (const endpoint of queue) {
        const share = shares.get(endpoint) ?? 0
        const isSound = this.#sound.has(endpoint)
        const isAgents = isAgentCallback(endpoint)
        if (share + this.#countOf(endpoint) >= (isSound ? MAX_PER_ENDPOINT : 1)) continue
        if (free <= 0 || (!isSound && freeForDoubtful <= 0) || (isAgents && freeForAgents <= 0)) continue
        shares.set(endpoint, share + 1)
        free -= 1
        if (!isSound) freeForDoubtful -= 1
        if (isAgents) freeForAgents -= 1
      }
    return shares
  }

  begin(endpoint: string): void {
    this.#total += 1
    this.#begun += 1
    this.#begunAs.set(endpoint, this.#begun)
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

  #latestOf(endpoint: string): number {
    return this.#begunAs.get(endpoint) ?? 0
  }

  #inFlightOf(isMeant: (endpoint: string) => boolean): number {
    let count = 0
    for (const [endpoint, inFlight] of this.#inFlight) if (isMeant(endpoint)) count += inFlight
    return count
  }
}
