import { foldHeader } from '../header-name.ts'
import { added, NONE } from './short-list.ts'

/** A step into a value: a key, an index, or every element. */
export type Step = { key: string } | { index: number } | { every: true }

export const ROOTS = ['args', 'context', 'headers', 'query', 'body', 'annotations'] as const
export type Root = (typeof ROOTS)[number]

export interface Path {
  /** As the policy spells it. */
  text: string
  root: Root
  steps: Step[]
}

const STEP = /\.([A-Za-z_$][\w$-]*)|\[(\d{1,6})\]|\[\*\]|\["((?:[^"\\]|\\["\\])+)"\]/y

/** Reads `args.items[*].price`, `args["odd key"][0]`; returns why not for anything else. */
export function parsePath(text: string): Path | string {
  const name = /^\w*/.exec(text)?.[0] ?? ''
  const root = ROOTS.find((each) => each === name)
  if (!root) return `a path begins with ${ROOTS.slice(0, -1).join(', ')} or ${ROOTS.at(-1)}`
  const steps: Step[] = []
  let at = name.length
  while (at < text.length) {
    STEP.lastIndex = at
    const found = STEP.exec(text)
    if (!found) return `the path cannot be read at character ${at + 1}: use .key, ["odd key"], [0] or [*]`
    at = STEP.lastIndex
    const [, key, index, quoted] = found
    if (key !== undefined) steps.push({ key })
    else if (index !== undefined) steps.push({ index: Number(index) })
    else if (quoted !== undefined) steps.push({ key: quoted.replace(/\\(["\\])/g, '$1') })
    else steps.push({ every: true })
  }
  if (root !== 'headers' && root !== 'query') return { text, root, steps }
  const [first, ...rest] = steps
  if (!first || !('key' in first) || rest.some((step) => !('every' in step)))
    return `a path into ${root} names one of them: ${root}.name`
  // One name to CGI, WSGI and PHP: what is judged holds the values of every spelling under the one with hyphens.
  const key = root === 'headers' ? foldHeader(first.key) : first.key
  // Every value counts, with `[*]` or without.
  return { text, root, steps: [{ key }, { every: true }] }
}

export interface Found {
  values: readonly unknown[]
  /** False when the path ends early in some place: an element without the key, say. */
  whole: boolean
}

/** What stands under a key of a value; nothing where it is no object or has no such key. */
export type Lookup = (value: unknown, key: string) => readonly unknown[]

/**
 * What stands at the end of a path. `lenient` lets `[*]` take a value that is no list as a list of one: what arrives
 * alone must not slip past a rule that looks for it in a list. Keys are looked up exactly without a `lookup`.
 */
export function valuesAt(root: unknown, steps: readonly Step[], lenient: boolean, lookup?: Lookup): Found {
  let values: unknown[] = [root]
  let whole = true
  for (const step of steps) {
    let next: unknown[] = NONE
    for (const value of values) {
      if ('every' in step) {
        if (Array.isArray(value)) for (const item of value) next = added(next, item)
        else if (lenient) next = added(next, value)
        else whole = false
        continue
      }
      if (lookup && 'key' in step) {
        const members = lookup(value, step.key)
        if (members.length === 0) whole = false
        for (const member of members) next = added(next, member)
        continue
      }
      const inner = 'key' in step ? memberOf(value, step.key) : Array.isArray(value) ? value[step.index] : undefined
      if (inner === undefined) whole = false
      else next = added(next, inner)
    }
    values = next
  }
  return { values, whole }
}

const memberOf = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined
