import type { McpEvent } from '../../ports/mcp-upstream.ts'

/** What comes in is read once, in order, by one reader; a reader that is gone costs nothing. */
export class Channel implements AsyncIterable<McpEvent> {
  #waiting: McpEvent[] = []
  #wake: (() => void) | undefined
  #end: { error?: Error } | undefined
  readonly #onLeave: () => void

  constructor(onLeave: () => void = () => {}) {
    this.#onLeave = onLeave
  }

  put(data: string): void {
    if (this.#end) return
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
        yield* events
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
