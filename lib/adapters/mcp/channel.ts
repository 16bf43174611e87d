import type { McpEvent } from '../../ports/mcp-upstream.ts'
import { MAX_WAITING_BYTES } from './limits.ts'

/**
 * What comes in is read once, in order, by one reader; a reader that is gone costs nothing, and one that is slow is sent
 * away when too much waits for it.
 */
export class Channel implements AsyncIterable<McpEvent> {
  #waiting: McpEvent[] = []
  #waitingBytes = 0
  #wake: (() => void) | undefined
  #end: { error?: Error } | undefined
  readonly #onLeave: () => void

  constructor(onLeave: () => void = () => {}) {
    this.#onLeave = onLeave
  }

  put(data: string): void {
    if (this.#end) return
    const bytes = Buffer.byteLength(data)
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.end(new Error(`its messages are read too slowly: more than ${MAX_WAITING_BYTES} bytes wait`))
      return
    }
    this.#waitingBytes += bytes
    this.#waiting.push({ data })
    this.#wake?.()
  }

  /** What came before is still read; then the reader is through, or gets the error. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error }
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<McpEvent> {
    try {
      for (;;) {
        const events = this.#waiting
        this.#waiting = []
        for (const event of events) {
          yield event
          this.#waitingBytes -= Buffer.byteLength(event.data)
        }
        if (this.#waiting.length > 0) continue
        if (this.#end?.error) throw this.#end.error
        if (this.#end) return
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.#waiting = []
      this.#end ??= {}
      this.#onLeave()
    }
  }
}
