/** Left free for a richer glob: to take them literally now would change their meaning then. */
const RESERVED = /[?[\]{}!()\\|]/

/** Why a glob is refused, or undefined. */
export function globFault(glob: string): string | undefined {
  if (glob === '') return 'an empty glob matches nothing'
  if (stars(glob.normalize('NFKC')) > stars(glob))
    return 'one of its characters only looks like a *: write the * itself'
  const found = RESERVED.exec(glob)
  return found ? `"${found[0]}" has no meaning in a glob: * alone has, and lists say the rest` : undefined
}

const stars = (text: string): number => text.split('*').length

/** What stands before the first `*`. */
export const literalPrefix = (glob: string): string => {
  const star = glob.indexOf('*')
  return star < 0 ? glob : glob.slice(0, star)
}

/**
 * True when the whole text fits; `*` is any run of characters, also `/`, `.` and none. No backtracking: linear in the
 * text for each piece of the glob.
 */
export function compileGlob(glob: string): (text: string) => boolean {
  return piecesTest(glob.split('*'))
}

/** The same for a glob that was taken apart at its stars. */
export function piecesTest(pieces: readonly string[]): (text: string) => boolean {
  const [head = '', ...rest] = pieces
  const tail = rest.pop()
  if (tail === undefined) return (text) => text === head
  if (rest.length === 0 && tail === '') return head === '' ? () => true : (text) => text.startsWith(head)
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
    const end = text.length - tail.length
    let at = head.length
    for (const piece of rest) {
      const found = text.indexOf(piece, at)
      if (found < 0 || found + piece.length > end) return false
      at = found + piece.length
    }
    return true
  }
}

/** For a glob that is used once; what is judged again and again compiles it. */
export const matchesGlob = (glob: string, text: string): boolean => compileGlob(glob)(text)
