import { type Delivery, type Handler, PoisonMessageError } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import { pause, pauseMs } from './retry.ts'

/** One handler, and the promise that it gets each batch until it has handled it. */
export interface Consumer {
  /** Resolves with what was not handled because of a close: nothing, otherwise. */
  deliver(batch: Delivery[]): Promise<Delivery[]>
  /** Gives up what fails; resolves when the handler runs no more. */
  close(): Promise<void>
}

interface ConsumerDeps {
  clock: Clock
  handler: Handler
  deadLetter(deliveries: readonly Delivery[], cause: unknown): Promise<void>
  failed(error: unknown, batch: readonly Delivery[]): void
}

export function createConsumer({ clock, handler, deadLetter, failed }: ConsumerDeps): Consumer {
  const closing = new AbortController()
  let running: Promise<unknown> = Promise.resolve()

  async function deliver(batch: Delivery[]): Promise<Delivery[]> {
    let rest = batch
    let failures = 0
    while (rest.length > 0 && !closing.signal.aborted) {
      try {
        rest = await attempt(rest)
      } catch (error) {
        failures += 1
        failed(error, rest)
        await pause(clock, pauseMs(failures), closing.signal)
      }
    }
    return rest
  }

  /** Resolves with what is left to handle: nothing, or the batch without what it set aside. */
  async function attempt(batch: Delivery[]): Promise<Delivery[]> {
    try {
      await handler(batch)
      return []
    } catch (error) {
      if (!(error instanceof PoisonMessageError)) throw error
      const poisoned = batch.filter(({ eventId }) => eventId === error.eventId)
      if (poisoned.length === 0) throw error
      await deadLetter(poisoned, error.cause)
      return batch.filter(({ eventId }) => eventId !== error.eventId)
    }
  }

  return {
    deliver(batch) {
      const delivered = deliver(batch)
      running = delivered
      return delivered
    },
    async close() {
      closing.abort()
      await running
    },
  }
}
