import type { Clock } from '../../../lib/ports/clock.ts'
import type { McpEvent } from '../../../lib/ports/mcp-upstream.ts'

/** One server-sent event (WHATWG HTML, 9.2). JSON text holds no line breaks of its own, but may be written with some. */
export function eventText({ data, id, retryMs }: McpEvent): string {
  const head = `${id === undefined ? '' : `id: ${id}\n`}${retryMs === undefined ? '' : `retry: ${retryMs}\n`}`
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`)
  return `${head}${lines.join('')}\n`
}

/** A comment: clients ignore it, and what stands between them sees that the stream is alive. */
export const KEEP_ALIVE = ': still here\n\n'

/** The same items, and what `idle` says whenever none has come for `everyMs`. */
export async function* paced<T>(
  items: AsyncIterable<T>,
  { clock, everyMs, idle }: { clock: Clock; everyMs: number; idle: () => T },
): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]()
  let next: Promise<IteratorResult<T>> | undefined
  try {
    for (;;) {
      next ??= iterator.next()
      // It may fail while the reader has stopped to listen.
      next.catch(() => {})
      const found = await within(next, everyMs, clock)
      if (found === undefined) {
        yield idle()
        continue
      }
      next = undefined
      if (found.done) return
      yield found.value
    }
  } finally {
    iterator.return?.().catch(() => {})
  }
}

/** The promise's value, or undefined when it takes longer. */
export async function within<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  let cancel = () => {}
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(ms, () => resolve(undefined))
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    cancel()
  }
}
