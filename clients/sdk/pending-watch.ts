import { CountersignClientError } from './client-error.ts'
import { sleep } from './sleep.ts'
import { createStreak, isPassing, type Transport } from './transport.ts'
import type { ApprovalView } from './types.ts'

export interface WatchOptions {
  signal?: AbortSignal
  /**
   * Called with every failure, and with what the callback throws. Failures that pass are retried for as long as it
   * takes; after any other (`retryable` false, such as a revoked token) watching has ended.
   */
  onError?(error: unknown): void
}

/** 31 bytes each: the address stays under the 8 KB that servers and proxies take. */
const MAX_EXCLUDED = 200
const WAIT_SECONDS = 30
const PAGE = 200
/** With more pending than can be excluded there is no waiting: the list is read again at this pace. */
const SCAN_MS = 2000

type Page = { items: ApprovalView[]; next?: string | null }

/**
 * Gives every pending approval to the callback exactly once, those that pend now first. Returns a function that stops
 * it. An approval may have been decided by the time the callback sees it.
 */
export function watchPending(
  transport: Transport,
  callback: (approval: ApprovalView) => void | Promise<void>,
  { signal, onError }: WatchOptions = {},
): () => void {
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted) stop()

  /** Given to the callback, and pending when last seen. What has left `pending` never comes back to it. */
  let seen = new Set<string>()

  const give = (items: readonly ApprovalView[]) => {
    for (const item of items) {
      if (seen.has(item.id) || stopping.signal.aborted) continue
      seen.add(item.id)
      try {
        Promise.resolve(callback(item)).catch((error: unknown) => onError?.(error))
      } catch (error) {
        onError?.(error)
      }
    }
  }

  const get = async (path: string): Promise<Page> => {
    const answer = await transport.call('GET', path, { signal: stopping.signal })
    if (!isPage(answer))
      throw new CountersignClientError('invalid_response', 'The answer is no list: is the address right?')
    return answer
  }

  /** Everything that pends; what is not in it may be forgotten. */
  const scan = async (): Promise<void> => {
    const pending = new Set<string>()
    let after = ''
    do {
      const page: Page = await get(`/v1/approvals?status=pending&limit=${PAGE}${after}`)
      for (const { id } of page.items) pending.add(id)
      give(page.items)
      after = page.next ? `&after=${encodeURIComponent(page.next)}` : ''
    } while (after !== '' && !stopping.signal.aborted)
    seen = new Set([...seen].filter((id) => pending.has(id)))
  }

  const step = async (): Promise<void> => {
    if (seen.size > MAX_EXCLUDED) {
      const started = performance.now()
      await scan()
      // A long list is read less often, so that watching never becomes the server's main work.
      if (seen.size > MAX_EXCLUDED) return sleep(Math.max(SCAN_MS, 10 * (performance.now() - started)), stopping.signal)
    }
    const known = seen.size
    const started = performance.now()
    const exclude = known === 0 ? '' : `&exclude=${[...seen].join(',')}`
    const { items } = await get(`/v1/approvals/pending?wait=${WAIT_SECONDS}${exclude}`)
    give(items)
    // Nothing new, and no wait: a server that is stopping, or one that knows no waiting. Not in a tight circle.
    if (seen.size === known && performance.now() - started < SCAN_MS) await sleep(SCAN_MS, stopping.signal)
  }

  const run = async () => {
    const streak = createStreak(Number.POSITIVE_INFINITY)
    while (!stopping.signal.aborted) {
      try {
        await step()
        streak.end()
      } catch (error) {
        if (stopping.signal.aborted) break
        if (!isPassing(error)) {
          if (!onError) throw error
          onError(error)
          break
        }
        onError?.(error)
        await sleep(streak.next() ?? SCAN_MS, stopping.signal)
      }
    }
    signal?.removeEventListener('abort', stop)
  }
  void run()
  return stop
}

const isPage = (value: unknown): value is Page =>
  typeof value === 'object' && value !== null && 'items' in value && Array.isArray(value.items)
