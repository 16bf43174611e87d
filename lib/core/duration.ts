const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
type Unit = keyof typeof UNITS

/**
 * Milliseconds of a duration as configuration writes it: a whole number and a unit (`500ms`, `30s`, `5m`, `2h`, `90d`).
 * Returns undefined for anything else; a bare number has no unit and is refused too.
 */
export function parseDuration(text: string): number | undefined {
  const found = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  return found ? Number(found[1]) * UNITS[found[2] as Unit] : undefined
}

/** The shortest exact spelling: 90000 → `90s`, 300000 → `5m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const)
    if (ms > 0 && ms % UNITS[unit] === 0) return `${ms / UNITS[unit]}${unit}`
  return `${ms}ms`
}
