const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** About how long, in the largest unit that fits: `45s`, `4m`, `2h`, `3d`. */
export function formatSpan(ms: number): string {
  for (const [unit, size] of UNITS) if (ms >= size) return `${Math.floor(ms / size)}${unit}`
  return '0s'
}

/** `in 4m`, or `2m ago` for what is past. */
export function fromNow(instant: string, now: number): string {
  const ms = Date.parse(instant) - now
  if (Number.isNaN(ms)) return '?'
  return ms > 0 ? `in ${formatSpan(ms)}` : `${formatSpan(-ms)} ago`
}
