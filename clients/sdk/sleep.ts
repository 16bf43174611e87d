/** Resolves after `ms`, or at once when the signal aborts: the caller looks at the signal. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted || ms <= 0) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, Math.min(ms, MAX_TIMER_MS))
    signal?.addEventListener('abort', done)
  })
}

/** Longer timers fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

const FIRST_BACKOFF_MS = 200
const MAX_BACKOFF_MS = 10_000

/** Exponential, with jitter so that many agents do not come back together; never sooner than the server asked for. */
export function backoff(failures: number, retryAfterMs = 0): number {
  const full = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 10))
  return Math.max(retryAfterMs, full / 2) + (Math.random() * full) / 2
}

/** Milliseconds that a `Retry-After` header asks for (seconds or a date, RFC 9110), or undefined. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === '') return undefined
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
