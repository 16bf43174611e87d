/** What tells the place of a delivery among those of the same approval at the same endpoint. */
export interface InLine {
  id: string
  version: number
  createdAt: number
  status: string
  dueAt: number
  owner: string | null
}

export type Turn<T> =
  /** `delivery` may be tried now: the one that was asked for, or one that comes before it. */
  | { type: 'now'; delivery: T }
  /** Not before this, in milliseconds since the epoch. */
  | { type: 'later'; at: number }
  /** It is being tried, or has ended. */
  | { type: 'taken' }

/**
 * Whose turn it is in a line, when `id` in it has come up. The deliveries of one approval go to an endpoint one after
 * the other, in the order of their versions; one that is on its way counts until it is back or its lease ends, also
 * when it was stopped meanwhile.
 */
export function turnOf<T extends InLine>(id: string, line: readonly T[], now: number): Turn<T> {
  const isOut = ({ owner, dueAt }: T) => owner !== null && dueAt > now
  const asked = line.find((each) => each.id === id)
  if (asked?.status !== 'waiting' || isOut(asked)) return { type: 'taken' }
  const out = line.filter(isOut)
  if (out.length > 0) return { type: 'later', at: Math.max(...out.map(({ dueAt }) => dueAt)) }
  const first = line.filter(({ status }) => status === 'waiting').reduce((a, b) => (inOrder(a, b) <= 0 ? a : b))
  return first.dueAt <= now ? { type: 'now', delivery: first } : { type: 'later', at: first.dueAt }
}

const inOrder = (a: InLine, b: InLine): number =>
  a.version - b.version || a.createdAt - b.createdAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
