/** The empty list that `added` begins with. Never changed. */
export const NONE: never[] = []

/** A list with one more, the same list but for `NONE`. What is pushed to `[]` takes room for 17: most lists here are of one. */
export function added<T>(list: T[], item: T): T[] {
  if (list.length === 0) return [item]
  list.push(item)
  return list
}
