import { RecentMap } from '../../../lib/core/recent-map.ts'

const REMEMBERED_REQUESTS = 10_000

/**
 * The ids of requests that a server may still answer, by session. A second request with the id of one of them would get
 * its answer, and be taken for done or undone by it; MCP forbids it. Bounded: the oldest that never got an answer goes.
 */
export class RequestIds {
  readonly #taken = new RecentMap<string, true>(REMEMBERED_REQUESTS)

  /** False when it is taken. */
  take(key: string): boolean {
    if (this.#taken.has(key)) return false
    this.#taken.set(key, true)
    return true
  }

  /** The request has its answer, or never came to the server. */
  free(key: string): void {
    this.#taken.delete(key)
  }
}
