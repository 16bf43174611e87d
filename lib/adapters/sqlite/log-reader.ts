import type { Delivery } from '../../ports/bus.ts'
import type { Clock } from '../../ports/clock.ts'
import { pause, pauseMs } from './retry.ts'

export interface LogReader {
  /** Something may have been appended. */
  wake(): void
  /** Resolves when the batch at hand is through. */
  close(): Promise<void>
}

interface LogReaderDeps {
  clock: Clock
  /** The seq it has read already. */
  position: number
  head(): number
  /** What follows `position`, and how far that reaches. Rejects when the log cannot be read now. */
  read(position: number): Promise<{ batch: Delivery[]; end: number }>
  /** False when the batch was not handled because of a close. */
  handle(batch: Delivery[]): Promise<boolean>
  /** Everything up to `position` is handled. */
  moved(position: number): void
  failed(error: unknown): void
}

/** Reads the log in order and hands it over batch by batch; sleeps between wakes. */
export function createLogReader({ clock, head, read, handle, moved, failed, ...start }: LogReaderDeps): LogReader {
  const closing = new AbortController()
  let position = start.position
  let reading = false
  let running = Promise.resolve()

  async function run(): Promise<void> {
    let failures = 0
    while (!closing.signal.aborted && position < head()) {
      try {
        const { batch, end } = await read(position)
        failures = 0
        if (batch.length > 0 && !(await handle(batch))) break
        position = end
        moved(position)
      } catch (error) {
        failures += 1
        failed(error)
        await pause(clock, pauseMs(failures), closing.signal)
        continue
      }
      // A long way to catch up leaves room for everything else between two batches.
      if (position < head()) await new Promise((resolve) => setImmediate(resolve))
    }
    reading = false
  }

  return {
    wake() {
      if (reading || closing.signal.aborted || position >= head()) return
      reading = true
      running = run()
    },
    async close() {
      closing.abort()
      await running
    },
  }
}
