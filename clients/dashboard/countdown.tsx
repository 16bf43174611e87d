import { now } from './clock.ts'

const SOON_MS = 60_000

interface CountdownProps {
  requestedAt: string
  expiresAt: string
  /** The server says that time runs out; the last minute shows so without. */
  warned: boolean
}

/** Time until the request expires. The server alone ends it: at zero this waits for its word. */
export function Countdown({ requestedAt, expiresAt, warned }: CountdownProps) {
  const end = Date.parse(expiresAt)
  const total = Math.max(1, end - Date.parse(requestedAt))
  const left = Math.min(total, Math.max(0, end - now.value))
  if (left === 0)
    return (
      <div class="countdown over" role="timer">
        expired? waiting for the server
      </div>
    )
  return (
    <div
      class={warned || left <= SOON_MS ? 'countdown soon' : 'countdown'}
      role="timer"
      title={`Expires at ${clockTime(expiresAt)}`}
    >
      <svg viewBox="0 0 20 20" aria-hidden="true">
        <circle class="ring" cx="10" cy="10" r="8" />
        <circle
          class="ring-left"
          cx="10"
          cy="10"
          r="8"
          pathLength="100"
          stroke-dasharray={`${(left / total) * 100} 100`}
        />
      </svg>
      <span>{duration(left)} left</span>
    </div>
  )
}

/** `9 s`, `4:09`, `2 h 05 min`, `3 days`. */
export function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const two = (value: number) => String(value).padStart(2, '0')
  if (seconds < 60) return `${seconds} s`
  if (hours === 0) return `${minutes}:${two(seconds % 60)}`
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`
  return `${Math.floor(hours / 24)} days`
}

const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit' }
const DAY: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric' }

/** The time of day, with the date unless it is today. */
export function clockTime(instant: string): string {
  const date = new Date(instant)
  const today = date.toDateString() === new Date(now.peek()).toDateString()
  return date.toLocaleString(undefined, today ? TIME : { ...DAY, ...TIME })
}

export function Moment({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at}>
      {clockTime(at)}
    </time>
  )
}
