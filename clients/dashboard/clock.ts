import { signal } from '@preact/signals'

/** The server's clock minus ours, in milliseconds, where they differ by more than the header can't show. */
let skewMs = 0

/** The `Date` header counts whole seconds, so a smaller difference means nothing. */
const TOLERANCE_MS = 2_000

/** The server's time as well as we know it, in milliseconds since the epoch; it moves once a second. */
export const now = signal(Date.now())

const read = (): number => Date.now() + skewMs

/** Learns from an answer's `Date` header how far our clock is off. */
export function observeServerTime(date: string | null, sentAt: number, receivedAt: number): void {
  const at = date === null ? Number.NaN : Date.parse(date)
  if (Number.isNaN(at)) return
  const difference = at + 500 - (sentAt + receivedAt) / 2
  skewMs = Math.abs(difference) > TOLERANCE_MS ? difference : 0
  now.value = read()
}

export function startClock(): void {
  setInterval(() => {
    now.value = read()
  }, 1000)
}
