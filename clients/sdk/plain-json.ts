import { CountersignClientError } from './client-error.ts'

/**
 * Refuses what JSON would change without a word (dates, NaN, functions, class instances, cycles): a person must
 * approve exactly what runs. Properties that are undefined are left out, as JSON does.
 */
export function assertPlainJson(value: unknown, path = 'args', parents: readonly object[] = []): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number' && Number.isFinite(value)) return
  if (typeof value !== 'object') throw notPlain(path, typeof value === 'number' ? String(value) : `a ${typeof value}`)
  if (parents.includes(value)) throw notPlain(path, 'a cycle')
  const inside = [...parents, value]
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) assertPlainJson(item, `${path}[${index}]`, inside)
    return
  }
  const proto: unknown = Object.getPrototypeOf(value)
  // Another realm's plain object has its own Object.prototype, whose prototype is null.
  if (proto !== null && Object.getPrototypeOf(proto) !== null) throw notPlain(path, 'an object of a class')
  for (const [key, item] of Object.entries(value))
    if (item !== undefined) assertPlainJson(item, `${path}.${key}`, inside)
}

const notPlain = (path: string, what: string) =>
  new CountersignClientError('usage', `${path} must be plain JSON, but it is ${what}`)

/** True when both are the same JSON, whatever the order of keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const left = Object.entries(a)
  const right = new Map(Object.entries(b))
  return left.length === right.size && left.every(([key, value]) => right.has(key) && sameJson(value, right.get(key)))
}
