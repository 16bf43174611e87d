import { globFault, piecesTest } from './glob.ts'
import { decoded } from './target.ts'

/** Why a glob for the path of a request is refused, or undefined. */
export function pathGlobFault(glob: string): string | undefined {
  if (glob.includes('?')) return 'queries are matched by conditions: { path: query.name, … }'
  const fault = globFault(glob)
  if (fault !== undefined) return fault
  if (glob === '**') return undefined
  if (!glob.startsWith('/')) return 'a path begins with a slash; ** alone is any path'
  if (/%(?![0-9A-Fa-f]{2})/.test(glob)) return 'this percent sign encodes nothing'
  const segments = glob.slice(1).split('/')
  if (segments.some((segment) => segment.includes('**') && segment !== '**')) return '** stands for whole segments'
  if (segments.some((segment, index) => segment === '' && index < segments.length - 1))
    return 'paths have no empty segments when they are judged'
  if (segments.some((segment) => segment === '.' || segment === '..'))
    return 'paths have no dot segments when they are judged'
  return undefined
}

type SegmentTest = (segment: string) => boolean

/**
 * Whether a path, as decoded segments, fits. `*` is one segment or a part of one, `**` any number of them, and a
 * trailing `/*` is the path before it or anything below. `lenient` does not look at a trailing slash.
 * No backtracking over segments: linear in the path for each part of the glob.
 */
export function compilePathGlob(glob: string, lenient: boolean): (segments: readonly string[]) => boolean {
  const parts = (glob === '**' ? '/**' : glob).slice(1).split('/')
  if (parts.at(-1) === '*') parts[parts.length - 1] = '**'
  if (lenient && parts.length > 1 && parts.at(-1) === '') parts.pop()

  const groups: SegmentTest[][] = [[]]
  for (const part of parts)
    if (part === '**') groups.push([])
    else groups.at(-1)?.push(piecesTest(part.split('*').map(decoded)))
  const [head = [], ...rest] = groups
  const tail = rest.pop()

  return (given) => {
    const length = lenient && given.length > 1 && given.at(-1) === '' ? given.length - 1 : given.length
    if (!fitsAt(head, given, 0, length)) return false
    if (!tail) return head.length === length
    // What `**` alone leaves of the root is the root.
    const end = length - tail.length
    if (end < head.length || !fitsAt(tail, given, end, length)) return false
    let at = head.length
    for (const group of rest) {
      while (at + group.length <= end && !fitsAt(group, given, at, end)) at++
      if (at + group.length > end) return false
      at += group.length
    }
    return true
  }
}

function fitsAt(tests: readonly SegmentTest[], segments: readonly string[], at: number, end: number): boolean {
  if (at + tests.length > end) return false
  for (let index = 0; index < tests.length; index++) {
    const segment = segments[at + index]
    if (segment === undefined || !tests[index]?.(segment)) return false
  }
  return true
}

/** What every path that fits begins with, decoded and without the first slash. */
export function pathPrefix(glob: string): string {
  const star = glob.indexOf('*')
  const literal = (star < 0 ? glob : glob.slice(0, star)).slice(1)
  return decoded(literal.endsWith('/') ? literal.slice(0, -1) : literal)
}
