import type { Logger } from './logger.ts'

/**
 * What a process opened, closed in reverse order, once. A part that fails to close is logged and does not keep the
 * others open.
 */
export class Lifecycle {
  readonly #parts: { name: string; close: () => Promise<void> | void }[] = []
  readonly #log: Logger
  #closing: Promise<void> | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  onClose(name: string, close: () => Promise<void> | void): void {
    this.#parts.push({ name, close })
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    // The clock's timers keep nothing alive: without this, a part that waits for one would end the process half closed.
    const alive = setInterval(() => {}, 1_000)
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) {
      try {
        await part.close()
      } catch (error) {
        this.#log.error({ err: error, part: part.name }, 'a part did not close')
      }
    }
    clearInterval(alive)
  }
}
