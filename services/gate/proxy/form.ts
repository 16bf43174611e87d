import type { Json } from '../../../lib/core/canonical-json.ts'

const MAX_FIELDS = 2_000
const MAX_DEPTH = 16
const NUMBER = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?$/

/**
 * What stands in `a=1&b[c]=2&d[]=3` (URL standard, 5.1), with brackets read as servers do that read them. A value that
 * spells a number is that number. Undefined when it could be read in two ways.
 */
export function readForm(text: string): Json | undefined {
  // Some servers take a bare semicolon for an ampersand.
  if (text.includes(';')) return undefined
  const pieces = text.split('&')
  if (pieces.length > MAX_FIELDS) return undefined
  const fields: [string, string][] = []
  try {
    for (const piece of pieces) {
      if (piece === '') continue
      const equals = piece.indexOf('=')
      const name = equals < 0 ? piece : piece.slice(0, equals)
      fields.push([spelled(name), equals < 0 ? '' : spelled(piece.slice(equals + 1))])
    }
  } catch {
    return undefined
  }
  return nested(fields.map(([name, value]) => [name, fieldValue(value)]))
}

const spelled = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '))

export const fieldValue = (text: string): Json =>
  NUMBER.test(text) && String(Number(text)) === text ? Number(text) : text

/** Fields by their names, those in brackets in objects and lists of their own; undefined when two contradict. */
export function nested(fields: readonly (readonly [string, Json])[]): Json | undefined {
  const root: Branch = new Map()
  for (const [name, value] of fields) {
    const steps = stepsOf(name)
    if (!steps || !put(root, steps, value)) return undefined
  }
  return jsonOf(root)
}

/** A field's values in their order, or what lies beneath its name. */
type Branch = Map<string, Branch | Json[]>

function put(root: Branch, steps: readonly string[], value: Json): boolean {
  let branch = root
  for (const step of steps.slice(0, -1)) {
    const next = branch.get(step) ?? new Map()
    if (!(next instanceof Map)) return false
    branch.set(step, next)
    branch = next
  }
  const last = steps.at(-1) ?? ''
  const values = branch.get(last) ?? []
  if (values instanceof Map) return false
  values.push(value)
  branch.set(last, values)
  return true
}

/** `a[b][]` as `a`, `b` and the empty name of a list; undefined for no name and for brackets that are not in pairs. */
function stepsOf(name: string): string[] | undefined {
  const found = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name)
  if (!found) return undefined
  const [, first = '', rest = ''] = found
  const steps = [first, ...[...rest.matchAll(/\[([^\]]*)\]/g)].map(([, step = '']) => step)]
  return steps.length > MAX_DEPTH || steps.includes('__proto__') ? undefined : steps
}

function jsonOf(branch: Branch): Json {
  const entries = [...branch].map(([name, inner]): [string, Json] => [
    name,
    inner instanceof Map ? jsonOf(inner) : inner.length === 1 ? (inner[0] ?? null) : inner,
  ])
  const [only] = entries
  if (entries.length === 1 && only?.[0] === '') return Array.isArray(only[1]) ? only[1] : [only[1]]
  const isList = entries.length > 0 && entries.every(([name], at) => name === String(at))
  return isList ? entries.map(([, value]) => value) : Object.fromEntries(entries)
}
