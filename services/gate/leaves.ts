import type { Clock } from '../../lib/ports/clock.ts'
import type { Decider } from '../../lib/ports/decider.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import { isCode } from './refusals.ts'

const AGAIN_MS = 1_000

type Leave = Parameters<Decider['leave']>[0]

/** Tells the decider that connections are gone. Nobody waits for it; a decider that is away is told when it is back. */
export class Leaves {
  readonly #decider: Decider
  readonly #clock: Clock
  readonly #log: Logger
  readonly #underWay = new Set<Promise<void>>()
  #stopping = false

  constructor(deps: { decider: Decider; clock: Clock; log: Logger }) {
    this.#decider = deps.decider
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** Tells it until it is heard, or the approval has expired. */
  tell(leave: Leave, expiresAt: number): void {
    const told = this.#tell(leave, expiresAt).finally(() => this.#underWay.delete(told))
    this.#underWay.add(told)
  }

  /** Tells what is left to tell, once more; then gives up. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#underWay)
  }

  async #tell(leave: Leave, expiresAt: number): Promise<void> {
    for (;;) {
      try {
        return await this.#decider.leave(leave)
      } catch (error) {
        if (!isCode(error, 'decider_unavailable') || this.#stopping || this.#clock.now() >= expiresAt) {
          this.#log.warn(
            { err: error, approvalId: leave.id },
            'the decider could not be told that a connection is gone',
          )
          return
        }
        await new Promise<void>((resolve) => this.#clock.after(AGAIN_MS, resolve))
      }
    }
  }
}
